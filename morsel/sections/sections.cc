#include "morsel/sections/sections.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cinttypes>
#include <ctime>
#include <mutex>
#include <new>

#include "alloc/heap/threads/thread_ends.h"
#include "alloc/heap/threads/thread_slots.h"
#include "base/error.h"
#include "base/futex.h"

namespace morsel {

[[gnu::tls_model("initial-exec")]] constinit thread_local RecentSections recent_sections;

namespace {

constexpr uint64_t kMillisecond = 1'000'000;

std::atomic<uint64_t> gates{0};
std::atomic<uint32_t> forks{0};  // between the first process and this one
// Counts what makes the places that threads remember wrong: gates that go, threads that end, forks.
std::atomic<uint64_t> changes{0};

uint64_t Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000 * kMillisecond +
         static_cast<uint64_t>(now.tv_nsec);
}

void ForgetRecent() {
  recent_sections = {};
  changes.fetch_add(1, std::memory_order_release);
}

// What the forking thread was in is its parent's.
void WatchForks() {
  static const int once = pthread_atfork(nullptr, nullptr, [] {
    ForgetRecent();
    forks.fetch_add(1, std::memory_order_relaxed);
  });
  (void)once;
}

// A thread that ends gives back what it has of the library, and then another one may have its
// sections. What of the program runs later in the thread finds them by its owner's number.
[[gnu::tls_model("initial-exec")]] constinit thread_local bool is_ending = false;
struct AtEnd {
  ~AtEnd() {
    is_ending = true;
    ForgetRecent();
  }
};
void WatchEnd() {
  [[gnu::tls_model("initial-exec")]] static thread_local AtEnd at_end;
  (void)at_end;
}

}  // namespace

Sections::Sections(uint64_t patience_ms)
    : number_(gates.fetch_add(1) + 1),
      patience_ns_(patience_ms * kMillisecond),
      has_barrier_(alloc::SlotsCanBeEmptied()),
      forks_(forks.load(std::memory_order_relaxed)) {
  WatchForks();
}

Sections::~Sections() {
  changes.fetch_add(1, std::memory_order_release);
  while (first_ != nullptr) delete std::exchange(first_, first_->next);
}

Section* Sections::Find(const ThreadArea& area, uint64_t owner) const {
  const std::lock_guard lock(mutex_);
  for (Section* one = first_; one != nullptr; one = one->next) {
    if (one->area == &area && one->owner == owner) return one;
  }
  return nullptr;
}

// The calling thread's, which becomes the recent one. Returns nullptr if there is no memory.
Section* Sections::Mine() {
  alloc::ThreadState* const state = alloc::MyState();
  if (state == nullptr) return nullptr;
  const uint64_t owner = state->owner.load(std::memory_order_relaxed);
  Section* mine = Find(*state, owner);
  if (mine == nullptr) {
    const std::lock_guard lock(mutex_);
    // One of a thread that has given its state back serves the next one.
    for (Section* one = first_; one != nullptr && mine == nullptr; one = one->next) {
      if (one->area->owner.load(std::memory_order_acquire) != one->owner) mine = one;
    }
    if (mine == nullptr) {
      mine = new (std::nothrow) Section;
      if (mine == nullptr) return nullptr;
      mine->next = std::exchange(first_, mine);
    }
    mine->depth.store(0, std::memory_order_relaxed);
    mine->area = state;
    mine->owner = owner;
    mine->thread_id = static_cast<uint64_t>(syscall(SYS_gettid));
  }
  WatchEnd();
  if (!is_ending) recent_sections.entries[number_ % 4] = {number_, mine};
  return mine;
}

Sections::Inline Sections::ForNobody() const {
  return {nullptr, &closed_, &changes, changes.load(std::memory_order_acquire)};
}

Sections::Inline Sections::ForInline() {
  Inline mine = ForNobody();
  if (!has_barrier_ || is_ending) return mine;
  if (Section* const section = Mine(); section != nullptr) mine.depth = &section->depth;
  return mine;
}

Status Sections::Begin() {
  Section* const mine = Mine();
  if (mine == nullptr) return Fail(Code::kNoMemory, "no memory for what a thread has of a morsel");
  while (!TryEnter(*mine)) {
    uint32_t closed = kClosed;
    (void)closed_.compare_exchange_strong(closed, kIsWaitedFor);
    SleepWhile(closed_, kIsWaitedFor);
  }
  return Code::kOk;
}

// What the calling thread has begun, or nullptr. In a forked child it is nothing, and nothing
// becomes the recent one, so that TryBegin() fails there; and its parent's mutex may be held for
// ever.
Section* Sections::Begun() const {
  if (Section* const mine = Recent(); mine != nullptr) return mine;
  if (forks_ != forks.load(std::memory_order_relaxed)) return nullptr;
  const alloc::ThreadState& state = *alloc::my_state;
  return Find(state, state.owner.load(std::memory_order_relaxed));
}

bool Sections::EndSlowly() {
  Section* const mine = Begun();
  return mine != nullptr && Leave(*mine);
}

uint32_t Sections::Depth() const {
  const Section* const mine = Begun();
  return mine != nullptr ? mine->depth.load(std::memory_order_relaxed) : 0;
}

void Sections::WakeCloser() {
  ended_.fetch_add(1, std::memory_order_release);
  WakeAll(ended_);
}

void Sections::CloseNow() {
  closed_.store(kClosed, std::memory_order_seq_cst);
  bool has_others = false;
  {
    // Who makes its first section after this sees the gate closed.
    const std::lock_guard lock(mutex_);
    for (const Section* one = first_; one != nullptr; one = one->next) {
      has_others = has_others || one->area != alloc::my_state;
    }
  }
  if (!has_others) return;
  if (has_barrier_) {
    alloc::BarrierInAllThreads();
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
}

void Sections::Open() {
  if (closed_.exchange(kOpen, std::memory_order_release) == kIsWaitedFor) WakeAll(closed_);
}

// How many threads are in a section; `thread_id` becomes that of one. Those that are gone are taken
// out of theirs.
uint64_t Sections::CountInside(uint64_t* thread_id) {
  uint64_t count = 0;
  const std::lock_guard lock(mutex_);
  for (Section* one = first_; one != nullptr; one = one->next) {
    if (one->depth.load(std::memory_order_acquire) == 0) continue;
    if (ThreadAreas::IsStillOf(one->area, one->owner)) {
      *thread_id = one->thread_id;
      ++count;
    } else {
      one->depth.store(0, std::memory_order_relaxed);
    }
  }
  return count;
}

bool Sections::WaitUntilEmpty(ClosingTries& tries, uint64_t* thread_id) {
  for (;;) {
    const uint32_t ended = ended_.load(std::memory_order_acquire);
    const uint64_t inside = CountInside(thread_id);
    if (inside == 0) return true;
    const uint64_t wait_ns = tries.TimeToWait(Now(), inside);
    if (wait_ns == 0) return false;
    SleepWhile(ended_, ended, wait_ns);
  }
}

Result<Sections::Closed> Sections::Close(const std::string& label) {
  ClosingTries tries(Now(), patience_ns_);
  uint64_t thread_id = 0;
  for (;;) {
    CloseNow();
    tries.Closed(Now());
    if (WaitUntilEmpty(tries, &thread_id)) return Closed(this);
    Open();
    const uint64_t pause_ns = tries.TimeToPause(Now());
    if (pause_ns == 0) break;
    const std::atomic<uint32_t> nothing{0};
    SleepWhile(nothing, 0, pause_ns);
  }
  return Fail(Code::kBusy,
              "%s cannot be stored now: thread %" PRIu64 " has been in a section for %" PRIu64
              " ms, or goes from one into the next; nothing is durable yet, and the next commit "
              "takes along what has ended",
              label.c_str(), thread_id, patience_ns_ / kMillisecond);
}

}  // namespace morsel
