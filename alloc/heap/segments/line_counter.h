// Which lines of allocation bits need no flush.
//
// A line's counter knows two numbers: `stored` is raised after each store to the
// line by its holder, `durable` to the `stored` that was read before a flush of the
// line, once the fence after it is done. The line is durable iff durable == stored.
// Counted is what makes blocks allocated. What frees them nobody's persist() waits
// for, and it is flushed by whoever settles it.
#pragma once

#include <atomic>
#include <cstdint>

namespace morsel::alloc {

/// Both numbers only grow, whatever the line is used for next.
struct LineCounter {
  std::atomic<uint64_t> stored{0};
  std::atomic<uint64_t> durable{0};

  /// Threads  the line's holder. Cheap: nothing is read and written at once.
  void Stored() {
    stored.store(stored.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  // Threads  any.

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

}  // namespace morsel::alloc
