// A set of small numbers that finds its smallest member without a walk over the others.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bits.h"

namespace morsel {

/// A tree of bits. The lowest level has a bit for each number. Each level above has a bit for each
/// word of 64 bits below it, which is set while any bit of that word is.
///
/// Threads  one call at a time; First() counts what it reads, so it is no exception.
/// Cost     Add() and Remove() touch at most one word of each level, First() at most two. There is
///          one level for each factor of 64 in `end`.
class NumberSet {
 public:
  /// Makes an empty set of numbers below `end`.
  explicit NumberSet(uint64_t end) {
    do {
      end = DivideUp(end, kBits);
      levels_.emplace_back(end, 0);
    } while (end > 1);
  }

  bool Has(uint64_t number) const { return levels_[0][number / kBits] >> number % kBits & 1; }

  void Add(uint64_t number) {
    for (std::vector<uint64_t>& level : levels_) {
      level[number / kBits] |= uint64_t{1} << number % kBits;
      number /= kBits;
    }
  }

  void Remove(uint64_t number) {
    for (std::vector<uint64_t>& level : levels_) {
      uint64_t& word = level[number / kBits];
      word &= ~(uint64_t{1} << number % kBits);
      if (word != 0) return;
      number /= kBits;
    }
  }

  /// What First() returns if there is no such number.
  static constexpr uint64_t kNone = ~uint64_t{0};

  /// The smallest member that is at least `from`, or kNone.
  uint64_t First(uint64_t from = 0) const {
    for (size_t height = 0; height < levels_.size(); ++height) {
      const std::vector<uint64_t>& level = levels_[height];
      if (from / kBits >= level.size()) return kNone;
      ++looked_at_;
      const uint64_t left = level[from / kBits] >> from % kBits;
      if (left != 0) return Lowest(from + static_cast<uint64_t>(std::countr_zero(left)), height);
      from = from / kBits + 1;
    }
    return kNone;
  }

  /// How many words all calls of First() have read together. Tests compare it with a bound.
  uint64_t looked_at() const { return looked_at_; }

 private:
  static constexpr uint64_t kBits = 64;

  // The smallest member under bit `at` of the level. The bit is set.
  uint64_t Lowest(uint64_t at, size_t height) const {
    while (height > 0) {
      ++looked_at_;
      const uint64_t word = levels_[--height][at];
      at = at * kBits + static_cast<uint64_t>(std::countr_zero(word));
    }
    return at;
  }

  std::vector<std::vector<uint64_t>> levels_;
  mutable uint64_t looked_at_ = 0;
};

}  // namespace morsel
