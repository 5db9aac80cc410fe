// Sections: what a thread does to a morsel between two calls, and which a commit has whole or not
// at all.
//
// A thread that begins a section stores that it is inside, and then looks whether the gate is
// closed. Who stores the morsel closes the gate, and then waits until nobody is inside. Both need a
// full barrier between their two steps; the one who closes makes it for all (thread_slots.h).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "base/mutex.h"
#include "base/result.h"
#include "base/thread_areas.h"
#include "base/units.h"
#include "morsel/sections/closing_tries.h"

namespace morsel {

/// A thread's sections of one morsel: one inside of the other, or none.
struct alignas(kLineBytes) Section {
  std::atomic<uint32_t> depth{0};
  // The gate's mutex is held.
  uint64_t owner = 0;  ///< the number under which `area` was the thread's
  ThreadArea* area = nullptr;
  uint64_t thread_id = 0;  ///< the kernel's, for messages
  Section* next = nullptr;
};

/// The last sections that a thread has used, by number of their gates.
struct RecentSections {
  struct Entry {
    uint64_t gate = 0;
    Section* section = nullptr;
  };
  std::array<Entry, 4> entries{};
};
[[gnu::tls_model("initial-exec")]] extern constinit thread_local RecentSections recent_sections;

/// The gate of one open morsel, and the sections of all threads.
///
/// Threads  any; Close() one at a time. A forked child has none of its parent's sections: all but
///          Begin() and Close() may be called there, and find none.
class Sections {
 public:
  /// patience_ms  how long Close() tries.
  explicit Sections(uint64_t patience_ms);
  ~Sections();
  Sections(const Sections&) = delete;
  Sections& operator=(const Sections&) = delete;

  /// The calling thread begins a section, if it has begun one before and need not wait. If not,
  /// false is returned.
  /// Cost  some loads and a store.
  [[nodiscard]] bool TryBegin() {
    Section* const mine = Recent();
    return mine != nullptr && TryEnter(*mine);
  }
  /// The calling thread begins a section. Inside of another one it never waits; else it waits while
  /// the gate is closed. It holds no lock of the library's.
  /// Errors  kNoMemory.
  Status Begin();
  /// Ends the section that the thread began last. Returns false if it is in none.
  /// Cost  as TryBegin().
  bool End() {
    Section* const mine = Recent();
    if (mine == nullptr) [[unlikely]]
      return EndSlowly();
    return Leave(*mine);
  }
  /// What a program's inline code needs to begin and end sections of the calling thread.
  struct Inline {
    std::atomic<uint32_t>* depth;  ///< of the thread's Section; nullptr: it makes calls
    const std::atomic<uint32_t>* closed;
    const std::atomic<uint64_t>* changes;
    uint64_t changes_then;
  };
  /// All of it holds as long as `changes` is `changes_then`, for the calling thread. Where threads
  /// make barriers of their own, or there is no memory, `depth` is nullptr.
  Inline ForInline();
  /// The same for a thread that must not begin any: `depth` is nullptr.
  Inline ForNobody() const;
  /// Wakes who waits for the end of the section that the calling thread has just ended inline, or
  /// has found the gate closed in.
  void Left() { WakeCloser(); }
  /// In how many sections the calling thread is.
  uint32_t Depth() const;

  /// Keeps the gate closed as long as it lives.
  class Closed {
   public:
    Closed(Closed&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Closed& operator=(Closed&&) = delete;
    ~Closed() {
      if (gate_ != nullptr) gate_->Open();
    }

   private:
    friend class Sections;
    explicit Closed(Sections* gate) : gate_(gate) {}
    Sections* gate_;
  };
  /// Closes the gate, and waits until no thread is in a section: until 10 ms go by in which none
  /// leaves; then it opens the gate for as long as it was closed, so that a thread in a section may
  /// wait for one that is about to begin one, and tries with twice as many, until its patience ends
  /// (closing_tries.h). The calling thread is in none.
  /// Errors  kBusy: the message names a thread that is in a section of `label`.
  /// Cost    where no section was ever begun, a mutex.
  Result<Closed> Close(const std::string& label);

 private:
  Section* Recent() const {
    const RecentSections::Entry& entry = recent_sections.entries[number_ % 4];
    return entry.gate == number_ ? entry.section : nullptr;
  }
  void FenceIfNobodyElseDoes() const {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (!has_barrier_) [[unlikely]]
      std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  // ORDER  the thread is inside  <  its look at the gate  <  its stores to the morsel
  // WHY    who closes the gate makes a barrier in all threads, and then looks who is inside: it
  //        sees this thread, or this thread sees that the gate is closed.
  // CRASH  nothing of this is on the medium.
  // TEST   morsel/sections/sections_test: WhoIsInsideIsWaitedForAndWhoComesWaits
  bool TryEnter(Section& mine) {
    const uint32_t depth = mine.depth.load(std::memory_order_relaxed);
    mine.depth.store(depth + 1, std::memory_order_relaxed);
    FenceIfNobodyElseDoes();
    if (depth > 0 || closed_.load(std::memory_order_acquire) == kOpen) [[likely]]
      return true;
    (void)Leave(mine);
    return false;
  }
  bool Leave(Section& mine) {
    const uint32_t depth = mine.depth.load(std::memory_order_relaxed);
    if (depth == 0) return false;
    mine.depth.store(depth - 1, std::memory_order_release);
    FenceIfNobodyElseDoes();
    if (closed_.load(std::memory_order_relaxed) != kOpen) [[unlikely]]
      WakeCloser();
    return true;
  }
  bool EndSlowly();
  Section* Mine();
  Section* Begun() const;
  Section* Find(const ThreadArea& area, uint64_t owner) const;
  void WakeCloser();
  void CloseNow();
  void Open();
  bool WaitUntilEmpty(ClosingTries& tries, uint64_t* thread_id);
  uint64_t CountInside(uint64_t* thread_id);

  const uint64_t number_;  ///< no two gates of a process have the same
  const uint64_t patience_ns_;
  const bool has_barrier_;
  const uint32_t forks_;
  enum : uint32_t { kOpen, kClosed, kIsWaitedFor };  ///< the last one: closed, and a thread waits
  std::atomic<uint32_t> closed_{kOpen};
  std::atomic<uint32_t> ended_{0};  ///< counts what ended while the gate was closed
  mutable Mutex mutex_{LockRank::kSections};
  Section* first_ = nullptr;  ///< of all; guarded by mutex_
};

}  // namespace morsel
