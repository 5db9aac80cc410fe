// A count that one process raises and another waits for.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace morsel::crash {

/// Lies in memory that both share.
class Counter {
 public:
  uint64_t value() const { return value_.load(); }

  /// Threads  any.
  void Raise();

  /// What WaitFor() waits for. Set before the one who raises it is started.
  void SetTarget(uint64_t target);

  /// Waits until the target is reached, at most so long.
  /// Returns  whether it is.
  bool WaitForTarget(std::chrono::milliseconds at_most) const;

 private:
  std::atomic<uint64_t> value_ = 0;
  std::atomic<uint64_t> target_ = ~uint64_t{0};
  std::atomic<uint32_t> reached_ = 0;
};

}  // namespace morsel::crash
