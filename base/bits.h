// Powers of two.
#pragma once

#include <bit>
#include <cstdint>

namespace morsel {

/// `alignment` is a power of two.
constexpr uint64_t AlignDown(uint64_t value, uint64_t alignment) {
  return value & ~(alignment - 1);
}

/// `alignment` is a power of two; the result must be representable.
constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return AlignDown(value + alignment - 1, alignment);
}

constexpr bool IsAligned(uint64_t value, uint64_t alignment) {
  return (value & (alignment - 1)) == 0;
}

constexpr uint64_t DivideUp(uint64_t value, uint64_t divisor) {
  return value / divisor + (value % divisor != 0);
}

/// How many bits are set. Unlike std::popcount no call where the instruction cannot be counted on.
constexpr uint64_t CountBits(uint64_t value) {
  value -= value >> 1 & 0x5555555555555555;
  value = (value & 0x3333333333333333) + (value >> 2 & 0x3333333333333333);
  value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return value * 0x0101010101010101 >> 56;
}

/// The first bit at or after `from` that is `wanted`, or `end`.
constexpr uint64_t NextBit(const uint64_t* words, uint64_t from, uint64_t end, bool wanted) {
  while (from < end) {
    const uint64_t word = wanted ? words[from / 64] : ~words[from / 64];
    const uint64_t left = word >> (from % 64);
    if (left != 0) {
      const uint64_t found = from + static_cast<uint64_t>(std::countr_zero(left));
      return found < end ? found : end;
    }
    from = (from / 64 + 1) * 64;
  }
  return end;
}

/// Whether [begin, begin + count) lies in [0, end), without overflow.
constexpr bool Within(uint64_t begin, uint64_t count, uint64_t end) {
  return begin <= end && count <= end - begin;
}

}  // namespace morsel
