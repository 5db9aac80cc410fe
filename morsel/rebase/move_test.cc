#include "morsel/rebase/move.h"

#include <gtest/gtest.h>

#include "alloc/heap/layout/heap_layout.h"
#include "base/error.h"
#include "base/units.h"

namespace morsel {
namespace {

TEST(Move, EachPartMovesAsAWhole) {
  const Move move = {kGiB, 64 * kMiB, 8 * kGiB, 4 * kGiB, kSubtreeBytes};
  constexpr uint64_t kPrefix = 64 * kKiB;
  EXPECT_EQ(move.Moved(kGiB - 1, kPrefix), std::nullopt);
  EXPECT_EQ(move.Moved(kGiB, kPrefix), 8 * kGiB);
  EXPECT_EQ(move.Moved(kGiB + kPrefix - 1, kPrefix), 8 * kGiB + kPrefix - 1);
  EXPECT_EQ(move.Moved(kGiB + kPrefix, kPrefix), 8 * kGiB + kSubtreeBytes + kPrefix);
  EXPECT_EQ(move.Moved(kGiB + 64 * kMiB - 1, kPrefix), 8 * kGiB + kSubtreeBytes + 64 * kMiB - 1);
  // The process' page.
  EXPECT_EQ(move.Moved(kGiB + 64 * kMiB, kPrefix), 12 * kGiB);
  EXPECT_EQ(move.Moved(kGiB + 64 * kMiB + kPageBytes - 1, kPrefix), 12 * kGiB + kPageBytes - 1);
  EXPECT_EQ(move.Moved(kGiB + 64 * kMiB + kPageBytes, kPrefix), std::nullopt);
  EXPECT_EQ(move.Moved(0, kPrefix), std::nullopt);
  EXPECT_EQ(move.Moved(~uint64_t{0}, kPrefix), std::nullopt);
}

TEST(Move, BlocksMoveOnlyWhereTheTablesNeedTheirPlace) {
  const auto shift = [](uint64_t from, uint64_t to) {
    const Result<uint64_t> found = ShiftFor(from, to);
    return found ? *found : ~uint64_t{0};
  };
  EXPECT_EQ(shift(64 * kMiB, 64 * kMiB), 0u);
  EXPECT_EQ(shift(16 * kGiB, 64 * kMiB), 0u);
  EXPECT_EQ(shift(kGiB, 1024 * kGiB), 0u);
  EXPECT_EQ(shift(64 * kMiB, kGiB), kSubtreeBytes);
  EXPECT_EQ(shift(2 * kMiB, 4096 * kGiB), kSubtreeBytes);
  EXPECT_EQ(ShiftFor(kGiB, 16 * 1024 * kGiB).status().code(), Code::kUnsupported);
  // Wherever there is an answer, there is room for the tables, of heaps with a table of roots, too.
  for (uint64_t from = kSubtreeBytes; from <= 64 * 1024 * kGiB; from *= 2) {
    for (uint64_t to = kSubtreeBytes; to <= 64 * 1024 * kGiB; to *= 2) {
      const Result<uint64_t> found = ShiftFor(from, to);
      if (!found) continue;
      for (const uint64_t table_bytes : {uint64_t{0}, 32 * kKiB}) {
        EXPECT_LE(
            alloc::GeometryOf(to, table_bytes).first_unit.value(),
            alloc::GeometryOf(from, table_bytes).first_unit.value() + *found / alloc::kUnitBytes)
            << from << ' ' << to;
      }
    }
  }
}

}  // namespace
}  // namespace morsel
