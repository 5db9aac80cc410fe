// Which lines of allocation bits need no flush.
//
// A line's counter knows two numbers: `stored` is raised after each store to the
// line by its holder, `durable` to the `stored` that was read before a flush of the
// line, once the fence after it is done. The line is durable iff durable == stored.
// What others store there, freed bits, nobody's persist() waits for.
//
// While the holder hands out blocks of a line, the line is open: `stored` is odd,
// need not be raised, and nothing that is done makes the line count as durable.
#pragma once

#include <atomic>
#include <cstdint>

namespace morsel::alloc {

/// Both numbers only grow, whatever the line is used for next.
struct LineCounter {
  std::atomic<uint64_t> stored{0};
  std::atomic<uint64_t> durable{0};

  // Threads  the line's holder. Cheap: nothing is read and written at once.

  void Stored() { Raise(2); }
  void Open() { Raise(1); }
  void Close() { Raise(1); }
  bool IsOpen() const { return (stored.load(std::memory_order_relaxed) & 1) != 0; }

  // Threads  any.

  bool IsDurable() const {
    return durable.load(std::memory_order_acquire) >= stored.load(std::memory_order_acquire);
  }
  /// All that was stored up to `seen` is durable, unless the line was open then.
  void RaiseDurable(uint64_t seen) {
    if ((seen & 1) != 0) return;
    uint64_t now = durable.load(std::memory_order_relaxed);
    while (now < seen && !durable.compare_exchange_weak(now, seen, std::memory_order_release)) {
    }
  }

 private:
  void Raise(uint64_t by) {
    stored.store(stored.load(std::memory_order_relaxed) + by, std::memory_order_release);
  }
};

}  // namespace morsel::alloc
