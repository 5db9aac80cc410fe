// What a thread's next fence must make durable: lines of allocation bits, and
// words of extents, that its flushes have asked for.
//
// They are flushed at the fence and not before, so that a line is flushed once for
// all the blocks that were allocated in it meanwhile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "alloc/heap/segments/line_counter.h"
#include "base/units.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// Threads  one at a time.
class PendingLines {
 public:
  bool empty() const { return count_ == 0; }

  /// False if there is no room: the caller flushes the line itself.
  bool Add(LineCounter* counter, const void* line) {
    const size_t recent = count_ < kLookBack ? count_ : kLookBack;
    for (size_t i = count_ - recent; i < count_; ++i) {
      if (lines_[i].counter == counter) return true;
    }
    if (count_ == lines_.size()) return false;
    lines_[count_++] = {counter, line, 0};
    return true;
  }

  /// Flushes them. What lies at or behind `end` is no longer the heap's.
  void Flush(pmem::Persist persist, const void* end) {
    for (size_t i = 0; i < count_; ++i) {
      Line& line = lines_[i];
      if (line.address >= end) continue;
      // ORDER  `stored` is read  <  the flush  <  the fence  <  `durable` is raised to it
      // WHY    a bit that is stored after the flush must not count as flushed.       [P2]
      // CRASH  nothing of this is on the medium.
      // TEST   alloc/heap/threads/pending_lines_test: AStoreAfterTheFlushIsNotDurable
      line.seen = line.counter->stored.load(std::memory_order_acquire);
      persist.Flush(line.address, sizeof(uint64_t));  // any part of the line
    }
  }

  /// The thread has fenced after Flush().
  void Fenced() {
    for (size_t i = 0; i < count_; ++i) lines_[i].counter->RaiseDurable(lines_[i].seen);
    count_ = 0;
  }

 private:
  static constexpr size_t kLookBack = 8;
  struct Line {
    LineCounter* counter;
    const void* address;
    uint64_t seen;
  };
  size_t count_ = 0;
  std::array<Line, 128> lines_{};
};

}  // namespace morsel::alloc
