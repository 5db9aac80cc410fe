// How long a gate stays closed while threads are inside, and how long open in between.
#pragma once

#include <algorithm>
#include <cstdint>

namespace morsel {

/// The tries of one Sections::Close(). A thread that is inside may wait for one that the closed
/// gate keeps out, so that each try ends, and the gate is open as long as it was closed. But while
/// fewer and fewer are inside, nobody waits so, and it stays closed: threads that take turns on few
/// processors need long until all have left.
/// Units    nanoseconds; all times are of one clock.
/// Threads  one.
class ClosingTries {
 public:
  ClosingTries(uint64_t now, uint64_t patience) : end_(now + patience) {}

  /// A try begins.
  void Closed(uint64_t now) {
    closed_at_ = now;
    fewest_ = ~uint64_t{0};
  }

  /// How long to wait for the `inside` threads to leave; 0: the try has failed.
  uint64_t TimeToWait(uint64_t now, uint64_t inside) {
    if (inside < fewest_) {
      fewest_ = inside;
      until_ = std::min(now + try_, end_);
    }
    return now < until_ ? until_ - now : 0;
  }

  /// How long the gate is open before the next try; 0: there is none.
  uint64_t TimeToPause(uint64_t now) {
    const uint64_t was_closed = now - closed_at_;
    try_ = std::min(2 * try_, kLongestTry);
    return now < end_ ? std::min(was_closed, end_ - now) : 0;
  }

 private:
  static constexpr uint64_t kFirstTry = 10'000'000;
  static constexpr uint64_t kLongestTry = 640'000'000;

  const uint64_t end_;
  uint64_t try_ = kFirstTry;
  uint64_t closed_at_ = 0;
  uint64_t until_ = 0;
  uint64_t fewest_ = 0;
};

}  // namespace morsel
