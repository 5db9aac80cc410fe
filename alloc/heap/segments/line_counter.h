// Which lines of allocation bits need no flush.
//
// A line's counter has two numbers. The line's holder raises `stored` after each store
// that allocates blocks in the line. A thread that flushes the line reads `stored`
// before the flush and, after the fence, raises `durable` to the value that it read.
// The line is durable iff durable == stored.
//
// Stores that free blocks are not counted, because no persist() waits for them.
// ThreadHeap::FlushFrees() and Durability::FlushFrees() flush them.
#pragma once

#include <atomic>
#include <cstdint>

namespace morsel::alloc {

/// Neither number ever falls, even when another slab comes to lie there: a thread may still hold
/// the counter and raise `durable` late.
struct LineCounter {
  std::atomic<uint64_t> stored{0};
  std::atomic<uint64_t> durable{0};

  /// Counts a store to the line that allocated blocks, after it was made.
  /// Threads  the line's holder.
  /// Cost     a plain load and a plain store; no atomic read-modify-write.
  void Stored() {
    stored.store(stored.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  /// Whether everything counted so far is durable.
  /// Threads  any.
  bool IsDurable() const {
    return durable.load(std::memory_order_acquire) >= stored.load(std::memory_order_acquire);
  }
  /// Records that everything up to `seen`, an earlier value of `stored`, is durable.
  /// Threads  any.
  void RaiseDurable(uint64_t seen) {
    uint64_t now = durable.load(std::memory_order_relaxed);
    while (now < seen && !durable.compare_exchange_weak(now, seen, std::memory_order_release)) {
    }
  }
};

}  // namespace morsel::alloc
