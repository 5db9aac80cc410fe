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

/// Whether [begin, begin + count) lies in [0, end), without overflow.
constexpr bool Within(uint64_t begin, uint64_t count, uint64_t end) {
  return begin <= end && count <= end - begin;
}

}  // namespace morsel
