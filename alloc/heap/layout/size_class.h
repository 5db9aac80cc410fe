// The sizes of a heap's blocks, and the lengths of its slabs.
//
// Block sizes are multiples of 16 up to 128 bytes, then eight to a doubling, as in
// jemalloc's and mimalloc's tables. Above 128 bytes, rounding up loses at most an
// eighth of the bytes that were asked for.
//
// The table of classes is part of the heap's format: whoever changes it raises kHeapVersion
// (heap_layout.h), to which tests/format/size_classes.txt holds it.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/bits.h"
#include "base/units.h"

namespace morsel::alloc {

/// Heaps are divided into units of this size. A slab or an extent is one unit or several
/// neighbours.
inline constexpr uint64_t kUnitBytes = 64 * kKiB;

inline constexpr uint64_t kBlockBytesMin = 16;
inline constexpr uint64_t kBlockBytesMax = 64 * kKiB;
/// A slab is long enough for at least this many blocks, so that its header and the unused rest at
/// its end are a small part of it. The header may take the place of one block.
inline constexpr uint64_t kBlocksPerSlabMin = 32;
inline constexpr uint64_t kBlocksPerSlabMax = kUnitBytes / kBlockBytesMin;

inline constexpr unsigned kLinearClasses = 8;
inline constexpr unsigned kClassesPerDoubling = 8;
inline constexpr unsigned kClassCount = kLinearClasses + kClassesPerDoubling * 9;

/// The smallest class whose blocks hold `size_bytes`.
/// Units  size_bytes: 0 .. kBlockBytesMax; 0 counts as 1.
constexpr unsigned ClassOf(uint64_t size_bytes) {
  if (size_bytes <= kLinearClasses * kBlockBytesMin) {
    return size_bytes == 0 ? 0 : static_cast<unsigned>((size_bytes - 1) / kBlockBytesMin);
  }
  const unsigned doubling = static_cast<unsigned>(std::bit_width(size_bytes - 1)) - 1;  // 7 .. 15
  const unsigned step_shift = doubling - 3;
  const unsigned step = static_cast<unsigned>((size_bytes - 1) >> step_shift) - 8;
  return kLinearClasses + (doubling - 7) * kClassesPerDoubling + step;
}

/// Sizes up to this one have a table of their classes.
inline constexpr uint64_t kSmallBytesMax = 1024;
inline constexpr auto kClassOfSmall = [] {
  std::array<uint8_t, kSmallBytesMax / kBlockBytesMin + 1> classes{};
  for (uint64_t i = 0; i < classes.size(); ++i) {
    classes[i] = static_cast<uint8_t>(ClassOf(i * kBlockBytesMin));
  }
  return classes;
}();
/// As ClassOf(), but faster.
/// Units  size_bytes: 0 .. kSmallBytesMax.
inline unsigned ClassOfSmall(uint64_t size_bytes) {
  return kClassOfSmall[(size_bytes + kBlockBytesMin - 1) / kBlockBytesMin];
}

/// The size of a class' blocks, in bytes.
constexpr uint64_t BlockBytes(unsigned size_class) {
  if (size_class < kLinearClasses) return (size_class + 1) * kBlockBytesMin;
  const unsigned above = size_class - kLinearClasses;
  const unsigned doubling = 7 + above / kClassesPerDoubling;
  return (uint64_t{9} + above % kClassesPerDoubling) << (doubling - 3);
}

/// The length of a class' slabs: a power of two, to which the slabs are aligned.
constexpr UnitCount SlabUnits(unsigned size_class) {
  const uint64_t bytes = BlockBytes(size_class) * kBlocksPerSlabMin;
  return UnitCount(std::bit_ceil(DivideUp(bytes, kUnitBytes)));
}

static_assert(BlockBytes(kClassCount - 1) == kBlockBytesMax);
static_assert(ClassOf(kBlockBytesMax) == kClassCount - 1);

}  // namespace morsel::alloc
