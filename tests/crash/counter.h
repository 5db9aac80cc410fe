// A counter that one process raises and another waits for.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace morsel::crash {

/// It lies in memory that both processes share.
class Counter {
 public:
  uint64_t value() const { return value_.load(); }

  /// Threads  any.
  void Raise();

  /// Sets what WaitForTarget() waits for. Call it before the process that raises the counter
  /// starts.
  void SetTarget(uint64_t target);

  /// Waits until the target is reached, but no longer than `at_most`.
  /// Returns  whether it is.
  bool WaitForTarget(std::chrono::milliseconds at_most) const;

 private:
  std::atomic<uint64_t> value_ = 0;
  std::atomic<uint64_t> target_ = ~uint64_t{0};
  std::atomic<uint32_t> reached_ = 0;
};

}  // namespace morsel::crash
