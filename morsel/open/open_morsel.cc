#include "morsel/open/open_morsel.h"

#include <cinttypes>
#include <cstring>
#include <new>

#include "alloc/heap/guard/guard.h"
#include "alloc/heap/guard/memory_marks.h"
#include "alloc/heap/guard/still_pages.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/size_words.h"
#include "morsel/memory_resource.hpp"
#include "morsel/open/process.h"
#include "morsel/roots/roots.h"

namespace morsel {
namespace {

alloc::HeapPlace PlaceOf(const CatalogRecord& record) {
  return {reinterpret_cast<void*>(record.base), record.size_bytes, record.capacity_bytes, record.id,
          record.live_bytes};
}

}  // namespace

void OpenMorsel::Format(const CatalogRecord& record, pmem::Persist persist) {
  alloc::FormatHeap(PlaceOf(record), /*root_table_bytes=*/0, persist);
}

OpenMorsel::OpenMorsel(std::unique_ptr<Backing> backing, std::unique_ptr<alloc::Heap> heap,
                       std::string label, OpenPool* owner)
    : backing_(std::move(backing)),
      heap_(std::move(heap)),
      label_(std::move(label)),
      owner_(owner),
      fork_count_(ForkCount()) {
  heap_->set_key(this);  // the heap's fast path compares this with the handle of the call
}

Result<std::unique_ptr<OpenMorsel>> OpenMorsel::Make(std::unique_ptr<Backing> backing,
                                                     const std::string& pool_path, OpenPool* owner,
                                                     bool is_new) {
  const CatalogRecord& record = backing->record();
  const bool fine = record.contract == Contract::kFine;
  alloc::HeapPlace place = PlaceOf(record);
  place.is_new = is_new;
  place.frames = backing->frames_of_heap();
  const Result<bool> guarded = alloc::Guard::IsWanted();
  if (!guarded) return guarded.status();
  place.guarded = *guarded && !backing->read_only();
  Result<std::unique_ptr<alloc::Heap>> heap =
      alloc::Heap::Open(place, backing->persist(), fine, backing->read_only());
  if (!heap) return heap.status();
  MORSEL_TRY(Roots(**heap).CheckTable());
  Backing* const memory = backing.get();
  if (record.grows && !backing->read_only()) {
    (*heap)->range().set_enlarge([memory](uint64_t size_bytes) -> Result<uint64_t> {
      if (memory->record().giant) size_bytes = AlignUp(size_bytes, kGiantBytes);
      MORSEL_TRY(memory->Resize(size_bytes));
      return memory->record().size_bytes;
    });
  }
  new (backing->process_page()) memory_resource(reinterpret_cast<void*>(record.base));
  std::string label = "morsel '" + record.name + "' of pool '" + pool_path + "'";
  std::unique_ptr<OpenMorsel> open(new (std::nothrow) OpenMorsel(
      std::move(backing), std::move(heap).value(), std::move(label), owner));
  if (open == nullptr) return Fail(Code::kNoMemory, "no memory for another open morsel");
  RememberRange(open->record().base, open->record().capacity_bytes, open.get());
  RememberHandle(open.get());
  open->in_table_ = true;
  return open;
}

OpenMorsel::~OpenMorsel() {
  if (!in_table_) return;
  ForgetHandle(this);
  ForgetRange(record().base, record().capacity_bytes);
}

uint64_t OpenMorsel::size_bytes() { return heap_->range().size_bytes(); }

Status OpenMorsel::MayRead() const {
  if (fork_count_ == ForkCount()) return Code::kOk;
  return Fail(Code::kBusy,
              "%s was opened before this process was forked: the child has not got its memory; "
              "open the pool again in the child",
              label_.c_str());
}

Status OpenMorsel::MayWrite(const char* call) const {
  MORSEL_TRY(MayRead());
  if (!read_only()) return Code::kOk;
  return Fail(Code::kPermission,
              "%s: %s is open for reading only; open it without MORSEL_READ_ONLY", call,
              label_.c_str());
}

Status OpenMorsel::OnlyFine(const char* call) const {
  if (fine()) return Code::kOk;
  return Fail(Code::kUnsupported,
              "%s: %s is under the snapshot contract, where only a checkpoint makes anything "
              "durable; create it with MORSEL_FINE, or call morsel_checkpoint",
              call, label_.c_str());
}

Status OpenMorsel::MayFlush(const void* address, uint64_t size_bytes, const char* call) {
  MORSEL_TRY(MayWrite(call));
  MORSEL_TRY(OnlyFine(call));
  const uint64_t offset = reinterpret_cast<uint64_t>(address) - record().base;
  const uint64_t end = this->size_bytes();
  if (!Within(offset, size_bytes, end)) {
    return Fail(Code::kInvalidArgument,
                "%s of %" PRIu64 " bytes at %p: they do not all lie in the %" PRIu64
                " bytes of %s at %p; give a range of that morsel",
                call, size_bytes, address, end, label_.c_str(), base());
  }
  return Code::kOk;
}

Status OpenMorsel::Flush(const void* address, uint64_t size_bytes) {
  MORSEL_TRY(MayFlush(address, size_bytes, "flush"));
  return size_bytes > 0 ? heap_->Flush(address, size_bytes) : Status();
}

Status OpenMorsel::Copy(void* to, const void* from, uint64_t size_bytes) {
  MORSEL_TRY(MayFlush(to, size_bytes, "memcpy_persist"));
  return heap_->Copy(to, from, size_bytes);
}

Status OpenMorsel::Fence() {
  MORSEL_TRY(MayWrite("fence"));
  MORSEL_TRY(OnlyFine("fence"));
  heap_->Fence();
  return Code::kOk;
}

// A call that holds the heap while bytes move. Meanwhile Fill() tells what was so when that began.
//
// Neither waits for the other's work: the call lets those Fill()s end that have begun, which is a
// few lines, and those that come later wait only until it has told.
class OpenMorsel::Telling {
 public:
  explicit Telling(OpenMorsel& morsel) : morsel_(morsel) {
    std::unique_lock lock(morsel_.told_mutex_);
    ++morsel_.tellings_;
    while (morsel_.askings_ > 0) morsel_.told_changed_.Wait(lock);
  }
  void Begin(const alloc::StoppedWorld& stopped) const {
    const KeepLastError keep;
    const Result<uint64_t> live_bytes = stopped.LiveBytes();
    const std::lock_guard lock(morsel_.told_mutex_);
    morsel_.FillStopped(live_bytes ? *live_bytes : morsel_.record().live_bytes, &morsel_.told_);
    morsel_.is_told_ = true;
    morsel_.told_changed_.NotifyAll();
  }
  ~Telling() {
    const std::lock_guard lock(morsel_.told_mutex_);
    if (--morsel_.tellings_ == 0) morsel_.is_told_ = false;
    morsel_.told_changed_.NotifyAll();
  }
  Telling(const Telling&) = delete;
  Telling& operator=(const Telling&) = delete;

 private:
  OpenMorsel& morsel_;
};

Status OpenMorsel::Checkpoint() { return Checkpoint(Then::kGoesOn); }

Status OpenMorsel::Checkpoint(Then then) {
  MORSEL_TRY(MayWrite("checkpoint"));
  const Telling telling(*this);
  const std::lock_guard no_root_changes(roots_mutex_);
  const auto stopped = heap_->StopAndRelease();
  telling.Begin(stopped);
  const Result<uint64_t> live_bytes = stopped.LiveBytes();
  if (!live_bytes) return live_bytes.status();
  return Checkpoint(stopped, *live_bytes, then);
}

Status OpenMorsel::Checkpoint(const alloc::StoppedWorld& stopped, uint64_t live_bytes, Then then) {
  if (fine()) stopped.PersistAll();
  // The checkpoint reads all of the memory, also blocks that the guard protects or marks as freed.
  const alloc::Guard::Opening open(heap_->guard());
  const alloc::ReportsAreOff quiet;
  const bool is_watched = heap_->guard() != nullptr && !fine();
  const alloc::StillPages still(is_watched ? static_cast<const char*>(base()) : nullptr,
                                record().size_bytes);
  const Status status = backing_->Checkpoint(live_bytes);
  if (status.ok() && then == Then::kCloses) {
    // The checkpoint is durable. What cannot be settled stays in the log, and the next open has it.
    const KeepLastError keep;
    (void)backing_->Settle();
  }
  still.Check(label_);
  return status;
}

Status OpenMorsel::Export(const os::Directory& to, const std::string& file_name,
                          const ExportRequest& options) {
  MORSEL_TRY(MayRead());
  const Telling telling(*this);
  const std::lock_guard no_root_changes(roots_mutex_);
  const auto stopped = heap_->StopAndRelease();
  telling.Begin(stopped);
  ExportRequest request = options;
  if (!read_only() && !fine()) {
    const Result<uint64_t> live_bytes = stopped.LiveBytes();
    if (!live_bytes) return live_bytes.status();
    // Where no checkpoint can be made, the memory is all that there is, and this call saves it.
    if (!Checkpoint(stopped, *live_bytes, Then::kGoesOn).ok())
      request.live_bytes_in_memory = *live_bytes;
  }
  const alloc::Guard::Opening open(heap_->guard());
  const alloc::ReportsAreOff quiet;
  return backing_->Export(to, file_name, request);
}

void FillInfo(const CatalogRecord& record, uint32_t granularity_bytes, morsel_info* info) {
  info->flags = 0;
  if (record.contract == Contract::kFine) info->flags |= MORSEL_FINE;
  if (record.giant) info->flags |= MORSEL_GIANT;
  if (record.grows) info->flags |= MORSEL_GROWS;
  if (record.may_be_older) info->flags |= MORSEL_MAY_BE_OLDER;
  info->mode = record.mode;
  info->granularity = granularity_bytes;
  std::memset(info->name, 0, sizeof info->name);
  std::memcpy(info->name, record.name.data(),
              record.name.size() < sizeof info->name ? record.name.size() : sizeof info->name - 1);
  std::memcpy(info->id, record.id.data(), sizeof info->id);
  info->base = reinterpret_cast<void*>(record.base);
  info->size_bytes = record.size_bytes;
  info->capacity_bytes = record.capacity_bytes;
  info->live_bytes = record.live_bytes;
  info->generation = record.generation;
  info->codec = static_cast<uint32_t>(record.codec);
  info->reserved = 0;
  info->user = record.user;
  info->group = record.group;
}

void OpenMorsel::FillStopped(uint64_t live_bytes, morsel_info* info) const {
  FillInfo(record(), backing_->granularity_bytes(), info);
  if (read_only()) info->flags |= MORSEL_READ_ONLY;
  info->live_bytes = live_bytes;
}

Status OpenMorsel::Fill(morsel_info* info) {
  MORSEL_TRY(MayRead());
  std::unique_lock lock(told_mutex_);
  while (tellings_ > 0 && !is_told_) told_changed_.Wait(lock);
  if (tellings_ > 0) {
    const uint32_t struct_size = info->struct_size;
    *info = told_;
    info->struct_size = struct_size;
    return Code::kOk;
  }
  ++askings_;
  lock.unlock();
  Status status;
  {
    const auto stopped = heap_->StopAndRelease();
    const Result<uint64_t> live_bytes = stopped.LiveBytes();
    status = live_bytes.status();
    if (live_bytes) FillStopped(*live_bytes, info);
  }
  lock.lock();
  --askings_;
  told_changed_.NotifyAll();
  return status;
}

Status OpenMorsel::CloseFine() {
  const auto stopped = heap_->StopAndRelease();
  const Result<uint64_t> live_bytes = stopped.LiveBytes();
  if (!live_bytes) return live_bytes.status();
  MORSEL_TRY(backing_->Checkpoint(*live_bytes));
  return stopped.Close();
}

Status OpenMorsel::Close() {
  MORSEL_TRY(MayRead());
  if (read_only()) return Code::kOk;
  return fine() ? CloseFine() : Checkpoint(Then::kCloses);
}

Status OpenMorsel::Discard() {
  MORSEL_TRY(MayRead());
  if (read_only() || !fine()) return Code::kOk;
  // One that is damaged, or whose file is gone, is closed all the same. Its heap stays marked as in
  // use.
  const KeepLastError keep;
  (void)CloseFine();
  return Code::kOk;
}

}  // namespace morsel
