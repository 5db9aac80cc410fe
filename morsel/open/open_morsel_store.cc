// An open morsel is stored: by checkpoints, commits and exports.
#include <cinttypes>
#include <optional>

#include "alloc/heap/guard/guard.h"
#include "alloc/heap/guard/memory_marks.h"
#include "alloc/heap/guard/still_pages.h"
#include "base/error.h"
#include "morsel/open/open_morsel.h"

namespace morsel {

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

// A morsel that nobody changes: no thread is in a section, in the heap, or at its roots.
//
// ORDER  the gate of sections  <  roots  <  the heap
// WHY    a thread in a section may set roots and allocate, and ends only after that.
// CRASH  nothing of this is on the medium.
// TEST   tests/api/sections_test: WhatASectionDoesNeedsNothingThatACommitHolds
class OpenMorsel::Still {
 public:
  Still(OpenMorsel& morsel, Sections::Closed closed)
      : closed_(std::move(closed)),
        telling_(morsel),
        no_root_changes_(morsel.roots_mutex_),
        stopped_(morsel.heap_->StopAndRelease()) {
    telling_.Begin(stopped_);
  }
  const alloc::StoppedWorld& stopped() const { return stopped_; }

 private:
  Sections::Closed closed_;
  Telling telling_;
  std::lock_guard<Mutex> no_root_changes_;
  alloc::StoppedWorld stopped_;
};

Status OpenMorsel::NotInSection(const char* call) const {
  if (!may_have_sections_ || !MayRead().ok() || sections_.Depth() == 0) return Code::kOk;
  return Fail(Code::kInvalidArgument,
              "%s of %s in a section of this thread, for whose end it would wait: end that first",
              call, label_.c_str());
}

Status OpenMorsel::MayHaveSections(const char* call) const {
  MORSEL_TRY(MayWrite(call));
  if (may_have_sections_) return Code::kOk;
  return Fail(Code::kUnsupported,
              "%s: %s is under the fine contract, where nothing is committed: persist what you "
              "change, or create it without MORSEL_FINE",
              call, label_.c_str());
}

Status OpenMorsel::BeginSlowly() {
  MORSEL_TRY(MayHaveSections("begin"));
  return sections_.Begin();
}

Status OpenMorsel::End() {
  if (may_have_sections_ && sections_.End()) [[likely]]
    return Code::kOk;
  MORSEL_TRY(MayHaveSections("end"));
  return Fail(Code::kInvalidArgument, "end: this thread is in no section of %s; begin one first",
              label_.c_str());
}

Sections::Inline OpenMorsel::SectionOfThisThread() {
  const KeepLastError keep;
  return MayHaveSections("begin").ok() ? sections_.ForInline() : sections_.ForNobody();
}

// ORDER  the section ends  <  this thread waits for a commit, or leads one
// WHY    who leads serves those that wait once no section is open: what they have done by then is
//        in the copy. And who waits in a section is waited for.
// CRASH  before the commit is stored: the last one. After: this one, whole.
// TEST   tests/api/sections_test: EachCommitIsDurableWithAllThatHadEndedBefore
Status OpenMorsel::Commit() {
  MORSEL_TRY(MayHaveSections("commit"));
  const uint32_t depth = sections_.Depth();
  if (depth != 1) {
    return Fail(Code::kInvalidArgument,
                "commit: this thread is in %" PRIu32
                " sections of %s: it must be in one, which it "
                "commits; begin it, or end those inside of it, first",
                depth, label_.c_str());
  }
  (void)sections_.End();
  return commits_.Commit(
      [&](const std::function<void()>& serve) { return Store(Then::kGoesOn, serve); });
}

Status OpenMorsel::Checkpoint() {
  MORSEL_TRY(MayWrite("checkpoint"));
  MORSEL_TRY(NotInSection("checkpoint"));
  return Store(Then::kGoesOn);
}

Status OpenMorsel::Store(Then then, const std::function<void()>& served) {
  const std::lock_guard storing(storing_mutex_);
  Result<Sections::Closed> closed = sections_.Close(label_);
  if (!closed) return closed.status();
  std::optional<Still> still(std::in_place, *this, std::move(*closed));
  if (served) served();
  return Checkpoint(still->stopped(), then, [&] { still.reset(); });
}

Status OpenMorsel::Checkpoint(const alloc::StoppedWorld& stopped, Then then,
                              const std::function<void()>& copied) {
  const Result<uint64_t> live_bytes = stopped.LiveBytes();
  if (!live_bytes) return live_bytes.status();
  if (fine()) stopped.PersistAll();
  // The checkpoint reads all of the memory, also blocks that the guard protects or marks as freed.
  std::optional<alloc::Guard::Opening> open(std::in_place, heap_->guard());
  std::optional<alloc::ReportsAreOff> quiet(std::in_place);
  const bool is_watched = heap_->guard() != nullptr && !fine();
  std::optional<alloc::StillPages> still(
      std::in_place, is_watched ? static_cast<const char*>(base()) : nullptr, record().size_bytes);
  const auto let_go = [&] {
    if (!still) return;
    still->Check(label_);
    still.reset();
    quiet.reset();
    open.reset();
  };
  const Status status = backing_->Checkpoint(*live_bytes, [&] {
    if (then == Then::kCloses) return;
    let_go();
    copied();
  });
  if (status.ok()) {
    const std::lock_guard lock(told_mutex_);
    backing_->TakeCheckpoint();
  }
  if (status.ok() && then == Then::kCloses) {
    // The checkpoint is durable. What cannot be settled stays in the log, and the next open has it.
    const KeepLastError keep;
    (void)backing_->Settle();
  }
  let_go();
  return status;
}

Status OpenMorsel::Export(const os::Directory& to, const std::string& file_name,
                          const ExportRequest& options) {
  MORSEL_TRY(MayRead());
  MORSEL_TRY(NotInSection("export"));
  const std::lock_guard storing(storing_mutex_);
  Result<Sections::Closed> closed = sections_.Close(label_);
  if (!closed) return closed.status();
  const Still still(*this, std::move(*closed));
  ExportRequest request = options;
  if (!read_only() && !fine()) {
    // Where no checkpoint can be made, the memory is all that there is, and this call saves it.
    if (!Checkpoint(still.stopped(), Then::kGoesOn, [] {}).ok()) {
      const Result<uint64_t> live_bytes = still.stopped().LiveBytes();
      if (!live_bytes) return live_bytes.status();
      request.live_bytes_in_memory = *live_bytes;
    }
  }
  const alloc::Guard::Opening open(heap_->guard());
  const alloc::ReportsAreOff quiet;
  return backing_->Export(to, file_name, request);
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
    const std::lock_guard no_checkpoint(told_mutex_);
    if (live_bytes) FillStopped(*live_bytes, info);
  }
  lock.lock();
  --askings_;
  told_changed_.NotifyAll();
  return status;
}

}  // namespace morsel
