// Random numbers that cost a nanosecond and are the same in every run of a seed.
#pragma once

#include <cstdint>

namespace bench {

/// Vigna's xorshift64*.
class Random {
 public:
  // The state must not be 0, and seeds that follow each other must not give like sequences.
  explicit Random(uint64_t seed) : state_((seed + 1) * 0x9E3779B97F4A7C15U) {
    if (state_ == 0) state_ = 1;
    for (int i = 0; i < 8; ++i) Next();
  }

  uint64_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1DU;
  }

  /// 0 .. bound - 1, bound below 2^32.
  uint64_t Below(uint64_t bound) { return ((Next() >> 32) * bound) >> 32; }

  uint64_t Between(uint64_t least, uint64_t most) { return least + Below(most - least + 1); }

 private:
  uint64_t state_;
};

}  // namespace bench
