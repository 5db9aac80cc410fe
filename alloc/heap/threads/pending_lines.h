// What a thread's next fence must make durable: lines of allocation bits, and head words
// of extents, that the thread's calls of Heap::Flush() have asked for.
//
// They are flushed just before the fence, so that a line is flushed only once for all
// the blocks that were allocated in it meanwhile.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "alloc/heap/segments/line_counter.h"
#include "alloc/heap/threads/grow_array.h"
#include "base/units.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// Threads  one at a time.
class PendingLines {
 public:
  bool empty() const { return count_ == 0; }

  /// Adds a line with what is counted for it now, unless it was one of the last few to be added.
  /// Returns false if there is no room; then the caller flushes the line itself.
  /// Ownership  the counter lives until Fenced().
  bool Add(LineCounter* counter, const void* line) {
    const size_t recent = count_ < kLookBack ? count_ : kLookBack;
    const uint64_t seen = counter->stored.load(std::memory_order_acquire);
    for (size_t i = count_ - recent; i < count_; ++i) {
      if (lines_[i].counter != counter || lines_[i].address != line) continue;
      lines_[i].seen = seen;
      return true;
    }
    if (count_ == places_ && !Grow()) return false;
    // ORDER  `stored` is read  <  the flush  <  the fence  <  `durable` is raised to it
    // WHY    it is read here, with the address. Before the flush another slab may come to lie
    //        there, which has the counter for a line elsewhere: its bits must not count as durable,
    //        nor any that is stored after the flush.                                        [P2]
    // CRASH  nothing of this is on the medium.
    // TEST   alloc/heap/threads/pending_lines_test: AStoreAfterTheAddIsNotDurable
    lines_[count_++] = {counter, line, seen};
    return true;
  }

  /// Flushes the lines that lie before `end`. From `end` on, memory is the heap's no more.
  void Flush(pmem::Persist persist, const void* end) {
    for (size_t i = 0; i < count_; ++i) {
      Line& line = lines_[i];
      if (line.address < end) {
        persist.Flush(line.address, sizeof(uint64_t));  // any part of the line
      } else {
        line.seen = 0;
      }
    }
  }

  /// Records that the lines are durable, and removes them all. To be called after Flush() and a
  /// fence.
  void Fenced() {
    for (size_t i = 0; i < count_; ++i) lines_[i].counter->RaiseDurable(lines_[i].seen);
    count_ = 0;
  }

 private:
  static constexpr size_t kLookBack = 8;
  static constexpr size_t kPlacesMin = 16;
  static constexpr size_t kPlacesMax = 128;
  struct Line {
    LineCounter* counter;
    const void* address;
    uint64_t seen;
  };

  // A thread that persists nothing has no places. Without memory for more, there are as many as
  // before.
  bool Grow() {
    const size_t more = std::max(kPlacesMin, 2 * places_);
    if (more > kPlacesMax) return false;
    if (!GrowArray(lines_, count_, more)) return false;
    places_ = more;
    return true;
  }

  size_t count_ = 0;
  size_t places_ = 0;
  std::unique_ptr<Line[]> lines_;
};

}  // namespace morsel::alloc
