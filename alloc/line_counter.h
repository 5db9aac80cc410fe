// Which lines of allocation bits need no flush, and what a thread has flushed
// but not fenced.
//
// A line's counter knows two numbers: `stored` is raised after each store to the
// line, `durable` to the `stored` that was read before a flush of the line, once
// the fence after it is done. The line is durable iff durable == stored.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace morsel::alloc {

/// Both numbers only grow, whatever the line is used for next.
struct LineCounter {
  std::atomic<uint64_t> stored{0};
  std::atomic<uint64_t> durable{0};

  void Stored() { stored.fetch_add(1, std::memory_order_release); }
  bool IsDurable() const {
    return durable.load(std::memory_order_acquire) >= stored.load(std::memory_order_acquire);
  }
  /// All that was stored up to `seen` is durable.
  void RaiseDurable(uint64_t seen) {
    uint64_t now = durable.load(std::memory_order_relaxed);
    while (now < seen && !durable.compare_exchange_weak(now, seen, std::memory_order_release)) {
    }
  }
};

/// What the calling thread flushed on one heap since its last fence there. It may forget: a line
/// that it forgets is flushed once more later.
class PendingLines {
 public:
  /// The calling thread's.
  static PendingLines& OfThread();

  /// `heap` tells heaps apart, and one opened again from itself; never 0.
  void Add(uint64_t heap, LineCounter* counter, uint64_t seen) {
    if (heap_ != heap) {
      heap_ = heap;
      count_ = 0;
    }
    if (count_ < lines_.size()) lines_[count_++] = {counter, seen};
  }

  /// Whether the last line that was added is this one, as it is: one flush does for both.
  bool IsLast(uint64_t heap, const LineCounter* counter, uint64_t seen) const {
    return heap_ == heap && count_ > 0 && lines_[count_ - 1].counter == counter &&
           lines_[count_ - 1].seen == seen;
  }

  /// The thread has fenced: what it flushed on `heap` is durable.
  void Fenced(uint64_t heap) {
    if (heap_ != heap) return;
    for (size_t i = 0; i < count_; ++i) lines_[i].counter->RaiseDurable(lines_[i].seen);
    count_ = 0;
  }

 private:
  struct Line {
    LineCounter* counter;
    uint64_t seen;
  };
  uint64_t heap_ = 0;
  size_t count_ = 0;
  std::array<Line, 128> lines_{};
};

}  // namespace morsel::alloc
