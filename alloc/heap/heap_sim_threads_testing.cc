#include "alloc/heap/heap_sim_threads_testing.h"

#include "alloc/heap/threads/end_of_thread.h"
#include "base/check.h"
#include "sim/stores/recorder.h"

namespace morsel::alloc {
namespace {

/// Of each kind a heap of 2 MiB has room for one slab. A thread need not free many such blocks
/// until it flushes its frees.
constexpr uint64_t kFullBytes = 32 * kKiB;
constexpr uint64_t kOtherBytes = 16 * kKiB;
/// How many blocks of the slab with little room are free.
constexpr size_t kRoom = 3;

// Waits until another thread has come there. It gives up when others had many turns.
void Await(const std::atomic<bool>& there) {
  for (int tries = 0; !there.load() && tries < 1000; ++tries) {
  }
}

}  // namespace

AtThreadsEnd& AtThreadsEnd::Get() {
  static thread_local AtThreadsEnd at_threads_end;
  return at_threads_end;
}

AtThreadsEnd::~AtThreadsEnd() {
  for (const std::function<void()>& work : work_) work();
  // Where the thread's end was reported before, it has begun anew, and ends again.
  EndThread();
}

std::string HeapEndsTarget::NameOf(uint32_t operation) const {
  switch (operation) {
    case kLinkAtEnd:
      return "link 64 bytes at the thread's end";
    case kDropAtEnd:
      return "drop the newest at the thread's end";
    case kAwaitEnd:
      return "await a thread's end";
    default:
      return HeapTarget::NameOf(operation);
  }
}

std::string HeapEndsTarget::Recover(sim::Log& log) {
  ending_ = false;
  return HeapTarget::Recover(log);
}

void HeapEndsTarget::Perform(uint32_t operation, sim::Log& log) {
  const auto at_end = [&](uint32_t done_then) {
    AtThreadsEnd::Get().Add([this, done_then, &log] {
      ending_ = true;
      HeapTarget::Perform(done_then, log);
    });
  };
  switch (operation) {
    case kLinkAtEnd:
      return at_end(kLinkSmall);
    case kDropAtEnd:
      return at_end(kDropNewest);
    case kAwaitEnd:
      return Await(ending_);
    default:
      HeapTarget::Perform(operation, log);
  }
}

std::string HeapFullLineTarget::NameOf(uint32_t operation) const {
  switch (operation) {
    case kFillLine:
      return "fill the line";
    case kFreeUntilFlushed:
      return "free until frees are flushed";
    case kLinkLast:
      return "link the last block";
    case kFreeOfFull:
      return "free a block of the full slab";
    default:
      return HeapTarget::NameOf(operation);
  }
}

void HeapFullLineTarget::Prepare() {
  FormatHeap(Place(), 4096, pmem::VolatilePersist());
  Open();
  watched_bytes_ = size_bytes_;
  const auto fill = [this](uint64_t size_bytes, std::vector<char*>& objects) {
    const uint64_t count = EndBlock(ClassOf(size_bytes)) - 1;  // the first one's place has the bits
    for (uint64_t i = 0; i < count; ++i) objects.push_back(Make(size_bytes, prepared_));
  };
  fill(kFullBytes, full_);
  fill(kOtherBytes, other_);
  for (size_t i = 0; i < kRoom; ++i) {
    Free(full_.back(), prepared_);
    full_.pop_back();
  }
  MORSEL_CHECK(heap_->StopAndRelease().Close().ok());
  prepared_.Note(kSettling);
  prepared_.Note(kSettled);
  heap_.reset();
}

std::string HeapFullLineTarget::Recover(sim::Log& log) {
  last_ = nullptr;
  filled_ = flushes_soon_ = false;
  return HeapTarget::Recover(log);
}

// Afterwards frees of the slab are to be flushed, its line is full, and what was allocated in it is
// not durable.
void HeapFullLineTarget::FillLine(sim::Log& log) {
  if (char* const first = Make(kFullBytes, log); first != nullptr) Free(first, log);
  for (size_t i = 0; i < kRoom; ++i) last_ = Make(kFullBytes, log);
  filled_ = true;
}

void HeapFullLineTarget::FreeUntilFlushed(sim::Log& log) {
  // This thread came first and has freed one block. One more stays in a magazine, and the last is
  // one too many.
  const uint64_t lent_bytes = FreeBudget::OfThreads(size_bytes_, false) / 2;
  const uint64_t frees = (lent_bytes - kFullBytes) / kOtherBytes + 2;
  for (uint64_t i = 0; i < frees; ++i) {
    if (i + 2 == frees) flushes_soon_ = true;
    Free(other_[i], log);
  }
}

// The second free makes the first one visible, which was delayed.
void HeapFullLineTarget::FreeOfFull(sim::Log& log) {
  Await(filled_);
  (void)Make(64, log);  // so that this thread needs no lock below
  Await(flushes_soon_);
  Free(full_.front(), log);
  Free(other_.back(), log);
}

void HeapFullLineTarget::Perform(uint32_t operation, sim::Log& log) {
  static thread_local const EndOfThread at_end;
  (void)at_end;
  switch (operation) {
    case kFillLine:
      return FillLine(log);
    case kFreeUntilFlushed:
      return FreeUntilFlushed(log);
    case kLinkLast:
      if (last_ == nullptr) return;
      MORSEL_CHECK(heap_->Flush(last_, kFullBytes).ok());
      heap_->Fence();
      return Link(ClaimSlot(false, false), last_, log);
    case kFreeOfFull:
      return FreeOfFull(log);
    default:
      HeapTarget::Perform(operation, log);
  }
}

}  // namespace morsel::alloc
