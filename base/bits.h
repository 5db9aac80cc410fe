// Arithmetic on powers of two, and on bits in words.
#pragma once

#include <bit>
#include <cstdint>

namespace morsel {

/// The largest multiple of `alignment`, a power of two, that is at most `value`.
constexpr uint64_t AlignDown(uint64_t value, uint64_t alignment) {
  return value & ~(alignment - 1);
}

/// The smallest multiple of `alignment`, a power of two, that is at least `value`. It must fit 64
/// bits.
constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return AlignDown(value + alignment - 1, alignment);
}

/// Whether `value` is a multiple of `alignment`, a power of two.
constexpr bool IsAligned(uint64_t value, uint64_t alignment) {
  return (value & (alignment - 1)) == 0;
}

/// The quotient, rounded up. It does not overflow.
constexpr uint64_t DivideUp(uint64_t value, uint64_t divisor) {
  return value / divisor + (value % divisor != 0);
}

/// How many bits are set. std::popcount would be a call into the compiler's library, since the
/// compiler may not assume that the processor has the instruction.
constexpr uint64_t CountBits(uint64_t value) {
  value -= value >> 1 & 0x5555555555555555;
  value = (value & 0x3333333333333333) + (value >> 2 & 0x3333333333333333);
  value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return value * 0x0101010101010101 >> 56;
}

/// The first bit of [from, end) whose value is `wanted`; `end` if there is none.
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

/// Calls `visit(word, mask)` for each word that has bits of [begin, end): its index, and which they
/// are.
template <class Visit>
constexpr void ForEachWord(uint64_t begin, uint64_t end, Visit visit) {
  while (begin < end) {
    const uint64_t left = 64 - begin % 64;
    const uint64_t here = left < end - begin ? left : end - begin;
    visit(begin / 64, ~uint64_t{0} >> (64 - here) << (begin % 64));
    begin += here;
  }
}

/// Whether [begin, begin + count) lies in [0, end). Right also where begin + count overflows.
constexpr bool Within(uint64_t begin, uint64_t count, uint64_t end) {
  return begin <= end && count <= end - begin;
}

}  // namespace morsel
