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
                       std::string label, OpenPool* owner, uint64_t patience_ms)
    : backing_(std::move(backing)),
      heap_(std::move(heap)),
      label_(std::move(label)),
      owner_(owner),
      fork_count_(ForkCount()),
      may_have_sections_(!fine() && !read_only()),
      sections_(patience_ms) {
  heap_->set_key(this);  // the heap's fast path compares this with the handle of the call
}

Result<std::unique_ptr<OpenMorsel>> OpenMorsel::Make(std::unique_ptr<Backing> backing,
                                                     const std::string& pool_path, OpenPool* owner,
                                                     bool is_new, uint64_t patience_ms) {
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
      std::move(backing), std::move(heap).value(), std::move(label), owner, patience_ms));
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
  return fine() ? CloseFine() : Store(Then::kCloses);
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
