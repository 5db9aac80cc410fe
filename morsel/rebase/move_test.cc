#include "morsel/rebase/move.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

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
  EXPECT_NE(std::strstr(LastError(), "it can have at most"), nullptr) << LastError();
  // What the message says is so.
  const char* const most = std::strstr(LastError(), "at most ") + 8;
  ASSERT_NE(std::strstr(most, "TiB"), nullptr) << most;
  const auto most_gib = static_cast<uint64_t>(std::strtod(most, nullptr) * 1024);
  EXPECT_EQ(shift(kGiB, most_gib * kGiB), 0u) << LastError();
  EXPECT_FALSE(ShiftFor(kGiB, (most_gib + 1) * kGiB)) << most_gib;
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

TEST(Move, BlocksMoveByAsMuchAsKeepsTheirAlignment) {
  constexpr uint64_t kBase = 5 * kGiB + 48 * kMiB;
  EXPECT_EQ(AlignedShift(kBase, 0, 20 * kMiB, kSubtreeBytes, kSubtreeBytes), kSubtreeBytes);
  EXPECT_EQ(AlignedShift(kBase, 0, 20 * kMiB, kSubtreeBytes, 16 * kMiB), 16 * kMiB);
  EXPECT_EQ(AlignedShift(kBase, 0, 20 * kMiB, 0, 16 * kMiB), 0u);
  EXPECT_EQ(AlignedShift(kBase, 0, 20 * kMiB, kSubtreeBytes, 32 * kMiB), 16 * kMiB);
  EXPECT_EQ(AlignedShift(kBase, 0, 20 * kMiB, kSubtreeBytes, kGiB), 48 * kMiB);
  EXPECT_EQ(AlignedShift(kBase, kBase + kSubtreeBytes, 20 * kMiB, 0, 16 * kMiB), 14 * kMiB);
  // Where there is no room for all of it.
  EXPECT_EQ(AlignedShift(kBase, 0, kGiB - 20 * kMiB, kSubtreeBytes, kGiB), 16 * kMiB);
  EXPECT_EQ(AlignedShift(kBase, 0, kGiB - 2 * kMiB, kSubtreeBytes, kGiB), kSubtreeBytes);
}

}  // namespace
}  // namespace morsel
