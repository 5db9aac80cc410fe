#include "alloc/subtrees/free_subtrees.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace morsel::alloc {
namespace {

std::vector<uint64_t> Values(const std::vector<SubtreeIndex>& subtrees) {
  std::vector<uint64_t> values;
  for (const SubtreeIndex subtree : subtrees) values.push_back(subtree.value());
  return values;
}

TEST(FreeSubtreesTest, HugeSubtreesComeFromBrokenGroupsFirst) {
  // 3 subtrees before the first boundary, two whole groups, and 7 subtrees after them.
  FreeSubtrees free(3 + 2 * 512 + 7, 3);
  EXPECT_EQ(Values(free.ChooseHuge(5)), (std::vector<uint64_t>{0, 1, 2, 1027, 1028}));
  EXPECT_EQ(Values(free.ChooseGiant(9)), (std::vector<uint64_t>{3, 515}));
  free.Take(515, 1);  // the second group is broken
  EXPECT_EQ(Values(free.ChooseGiant(9)), (std::vector<uint64_t>{3}));
  const auto chosen = Values(free.ChooseHuge(1033));
  EXPECT_EQ(chosen.size(), 1033u);
  EXPECT_EQ(std::count(chosen.begin(), chosen.end(), 515), 0);
  // What would break the last whole group comes last.
  EXPECT_EQ(chosen[3 + 511 + 7], 3u);
  EXPECT_EQ(free.ChooseHuge(1034).size(), 1033u);
}

TEST(FreeSubtreesTest, AgreesWithANaiveModelForAllPhases) {
  std::mt19937_64 random(7);
  for (const uint64_t phase : {0, 1, 511, 300}) {
    for (const uint64_t count : {1, 5, 511, 512, 513, 1600}) {
      FreeSubtrees free(count, phase);
      std::set<uint64_t> model;
      for (uint64_t i = 0; i < count; ++i) model.insert(i);
      for (int step = 0; step < 200; ++step) {
        const uint64_t index = random() % count;
        if (model.erase(index)) {
          free.Take(index, 1);
        } else {
          model.insert(index);
          free.Release(index, 1);
        }
        EXPECT_EQ(free.free_count(), model.size());
        EXPECT_EQ(free.IsFree(index), model.count(index) == 1);
      }
      auto chosen = Values(free.ChooseHuge(count));
      EXPECT_EQ(std::set<uint64_t>(chosen.begin(), chosen.end()), model);
      std::vector<uint64_t> giants;
      for (uint64_t i = phase % 512; i + 512 <= count; i += 512) {
        bool whole = true;
        for (uint64_t j = i; j < i + 512; ++j) whole &= model.count(j) == 1;
        if (whole) giants.push_back(i);
      }
      EXPECT_EQ(Values(free.ChooseGiant(100)), giants);
    }
  }
}

TEST(FreeSubtreesTest, ChoosingCostsNoMoreOnALargeMedium) {
  constexpr uint64_t kGroups = 1 << 13;  // 8 TiB
  FreeSubtrees free(kGroups * 512, 0);
  free.Take(0, (kGroups - 2) * 512);  // the last two groups are left
  for (int i = 0; i < 600; ++i) {
    const uint64_t before = free.looked_at();
    const auto chosen = free.ChooseHuge(1);
    ASSERT_EQ(chosen.size(), 1u);
    // The words of one group, and a descent of two trees with three levels.
    EXPECT_LE(free.looked_at() - before, 9u + 2 * 2 * 3);
    free.Take(chosen[0].value(), 1);
  }
  const uint64_t before = free.looked_at();
  EXPECT_TRUE(free.ChooseGiant(1).empty());
  free.Release(512, 512);
  EXPECT_EQ(Values(free.ChooseGiant(2)), std::vector<uint64_t>{512});
  EXPECT_LE(free.looked_at() - before, 3 * 2 * 3u);
}

TEST(FreeSubtreesTest, TakingOrReleasingTwiceEndsTheProcess) {
  FreeSubtrees free(10, 0);
  free.Take(3, 2);
  EXPECT_DEATH(free.Take(4, 1), "invariant");
  EXPECT_DEATH(free.Release(5, 1), "invariant");
  EXPECT_DEATH(free.Take(9, 2), "invariant");
}

}  // namespace
}  // namespace morsel::alloc
