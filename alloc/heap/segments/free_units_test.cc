#include "alloc/heap/segments/free_units.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "os/testing/seed_testing.h"

namespace morsel::alloc {
namespace {

// The same questions, answered by looking at every unit.
struct Naive {
  std::vector<bool> used = std::vector<bool>(kUnitsPerRegion);

  FreeUnits::Hole Find(uint64_t from, uint64_t count, uint64_t before) const {
    uint64_t run = from == 0 ? before : 0;
    for (uint64_t unit = from;; ++unit) {
      if (run >= count) {
        return unit < run ? FreeUnits::Hole{true, run - unit, 0}
                          : FreeUnits::Hole{true, 0, unit - run};
      }
      if (unit == kUnitsPerRegion) return {false, run, 0};
      run = used[unit] ? 0 : run + 1;
    }
  }
  std::optional<uint64_t> FindAligned(unsigned order) const {
    const auto length = static_cast<std::ptrdiff_t>(uint64_t{1} << order);
    for (auto at = used.begin(); at != used.end(); at += length) {
      if (std::none_of(at, at + length, [](bool is_used) { return is_used; })) {
        return static_cast<uint64_t>(at - used.begin());
      }
    }
    return std::nullopt;
  }
};

struct FreeUnitsTest : testing::Test {
  void Mark(uint64_t begin, uint64_t end, bool used) {
    units.Mark(begin, end, used);
    for (uint64_t unit = begin; unit < end; ++unit) naive.used[unit] = used;
  }

  void Compare(uint64_t from, uint64_t count, uint64_t before) {
    const FreeUnits::Hole found = units.Find(from, count, before, nodes_read);
    const FreeUnits::Hole right = naive.Find(from, count, before);
    EXPECT_EQ(found.found, right.found) << from << " " << count << " " << before;
    EXPECT_EQ(found.before, right.before) << from << " " << count << " " << before;
    EXPECT_EQ(found.begin, right.begin) << from << " " << count << " " << before;
  }

  FreeUnits units;
  Naive naive;
  uint64_t nodes_read = 0;
};

TEST_F(FreeUnitsTest, AnswersAreThoseOfLookingAtEveryUnit) {
  std::mt19937_64 random(TestSeed(5));
  const auto below = [&](uint64_t limit) { return random() % limit; };
  // Lengths of all orders of magnitude.
  const auto length = [&] { return 1 + below(uint64_t{1} << below(15)) % kUnitsPerRegion; };
  for (int round = 0; round < 3000; ++round) {
    const uint64_t count = std::min<uint64_t>(length(), kUnitsPerRegion / 2);
    const uint64_t begin = below(kUnitsPerRegion - count + 1);
    Mark(begin, begin + count, round % 5 < 3);
    const uint64_t before = round % 3 == 0 ? below(200) : 0;
    Compare(0, length(), before);
    Compare(1 + below(kUnitsPerRegion - 1), length(), 0);
    const unsigned order = static_cast<unsigned>(below(FreeUnits::kOrderMax + 1));
    EXPECT_EQ(units.FindAligned(order, nodes_read), naive.FindAligned(order)) << order;
    const auto last = std::find(naive.used.rbegin(), naive.used.rend(), true);
    EXPECT_EQ(units.EndOfUsed(), static_cast<uint64_t>(naive.used.rend() - last));
    if (HasFailure()) break;
  }
}

TEST_F(FreeUnitsTest, HolesThatAreTooShortAreNotLookedAtOneByOne) {
  units.Mark(0, kUnitsPerRegion, true);
  for (uint64_t unit = 0; unit < kUnitsPerRegion - 4; unit += 2) units.Mark(unit, unit + 1, false);
  units.Mark(kUnitsPerRegion - 2, kUnitsPerRegion, false);
  EXPECT_EQ(units.Find(0, 2, 0, nodes_read).begin, kUnitsPerRegion - 2);
  EXPECT_EQ(units.FindAligned(1, nodes_read), kUnitsPerRegion - 2);
  EXPECT_FALSE(units.Find(0, 3, 0, nodes_read).found);
  EXPECT_EQ(units.FindAligned(2, nodes_read), std::nullopt);
  // Eight levels of the tree, twice at most each, for four questions.
  EXPECT_LE(nodes_read, 4 * 2 * 9u);
}

TEST_F(FreeUnitsTest, WhatIsMarkedLaterIsFoundAfterTheIndexIsMade) {
  for (uint64_t unit = 0; unit < 100; ++unit) units.MarkUsedLater(unit);
  EXPECT_TRUE(units.IsUsed(99));
  units.Index();
  EXPECT_EQ(units.Find(0, 1, 0, nodes_read).begin, 100u);
  EXPECT_EQ(units.FindAligned(5, nodes_read), 128u);
}

}  // namespace
}  // namespace morsel::alloc
