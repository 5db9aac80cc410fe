#include "alloc/heap/layout/size_class.h"

#include <gtest/gtest.h>

#include "alloc/heap/layout/heap_layout.h"

namespace morsel::alloc {
namespace {

TEST(SizeClass, IsTheSmallestThatHolds) {
  for (uint64_t size = 1; size <= kBlockBytesMax; ++size) {
    const unsigned size_class = ClassOf(size);
    ASSERT_LT(size_class, kClassCount);
    ASSERT_GE(BlockBytes(size_class), size);
    if (size_class > 0) {
      ASSERT_LT(BlockBytes(size_class - 1), size);
    }
  }
}

TEST(SizeClass, LosesAtMostAnEighthAbove128Bytes) {
  for (uint64_t size = 129; size <= kBlockBytesMax; ++size) {
    ASSERT_LE(BlockBytes(ClassOf(size)) - size, size / 8) << size;
  }
}

TEST(SizeClass, BlocksAreMultiplesOf16) {
  for (unsigned c = 0; c < kClassCount; ++c) ASSERT_EQ(BlockBytes(c) % 16, 0u);
}

TEST(SizeClass, SlabsHave31BlocksAtLeastAndFitASubtree) {
  for (unsigned c = 0; c < kClassCount; ++c) {
    const UnitIndex furthest((SlabColors(c) - 1) * SlabUnits(c).value());
    EXPECT_GE(EndBlock(c) - FirstBlock(c, furthest), kBlocksPerSlabMin - 1);
    EXPECT_LE(EndBlock(c), kBlocksPerSlabMax);
    EXPECT_LE(BitLineCount(c), kBitLinesMax);
    EXPECT_LE(SlabUnits(c).value() * kUnitBytes, kSubtreeBytes);
  }
}

TEST(HeapGeometry, ThePrefixOfTheLargestHeapFitsItsFirstSubtree) {
  EXPECT_LE(GeometryOf(uint64_t{64} << 40, 64 * kKiB).first_unit.value() * kUnitBytes,
            kSubtreeBytes);
  EXPECT_EQ(GeometryOf(2 * kMiB, 32 * kKiB).first_unit.value(), 1u);
}

}  // namespace
}  // namespace morsel::alloc
