// Random choices that follow from a seed.
#pragma once

#include <cstdint>
#include <random>

namespace morsel::crash {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Any() { return engine_(); }
  /// 0 .. end - 1; end > 0.
  uint64_t Below(uint64_t end) { return engine_() % end; }
  /// first .. last.
  uint64_t Between(uint64_t first, uint64_t last) { return first + Below(last - first + 1); }
  bool OneIn(uint64_t count) { return Below(count) == 0; }
  /// first .. last; each power of two of the range is equally likely.
  uint64_t Logarithmic(uint64_t first, uint64_t last);

 private:
  std::mt19937_64 engine_;  // the standard defines its output, so a seed is portable
};

inline uint64_t Random::Logarithmic(uint64_t first, uint64_t last) {
  uint64_t doublings = 0;
  while (first << (doublings + 1) <= last) ++doublings;
  const uint64_t low = first << Below(doublings + 1);
  const uint64_t high = low * 2 - 1 < last ? low * 2 - 1 : last;
  return Between(low, high);
}

}  // namespace morsel::crash
