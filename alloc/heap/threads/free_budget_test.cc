#include "alloc/heap/threads/free_budget.h"

#include <gtest/gtest.h>

#include <vector>

namespace morsel::alloc {
namespace {

TEST(FreeBudget, TheBoundIsA64thAndAtLeastOneMiB) {
  EXPECT_EQ(FreeBudget::BytesMax(2 * kMiB), kMiB);
  EXPECT_EQ(FreeBudget::BytesMax(64 * kMiB), kMiB);
  EXPECT_EQ(FreeBudget::BytesMax(640 * kMiB), 10 * kMiB);
  for (const uint64_t bytes : {2 * kMiB, kGiB, 100 * kGiB}) {
    const uint64_t others = FreeBudget::OfExtents(bytes);
    EXPECT_LE(FreeBudget::OfThreads(bytes, false) + others, FreeBudget::BytesMax(bytes));
    EXPECT_LE(FreeBudget::OfThreads(bytes, true) + FreeBudget::OfGuard(bytes) + others,
              FreeBudget::BytesMax(bytes));
  }
}

// Threads come one after the other. Those that are there do not renew their shares meanwhile.
TEST(FreeBudget, SharesTogetherAreNeverMoreThanThereIs) {
  constexpr uint64_t kHeapBytes = 64 * kMiB;
  FreeBudget budget;
  std::vector<uint64_t> lent;
  int anew = 0;
  while (lent.size() < 300) {
    const uint64_t share = budget.Lend(kHeapBytes, 0);
    lent.push_back(share);
    if (share == 0) {
      ++anew;
      lent.assign(lent.size(), budget.LendAnew(kHeapBytes, lent.size()));
    }
    uint64_t sum = 0;
    for (const uint64_t bytes : lent) sum += bytes;
    ASSERT_LE(sum, FreeBudget::OfThreads(kHeapBytes, false));
    ASSERT_GE(sum, FreeBudget::OfThreads(kHeapBytes, false) / 4);
  }
  EXPECT_LE(anew, 10);
}

TEST(FreeBudget, AShareThatIsRenewedFollowsTheNumberOfThreads) {
  FreeBudget budget;
  const uint64_t alone = budget.Lend(64 * kMiB, 0);
  const uint64_t second = budget.Lend(64 * kMiB, 0);
  const uint64_t third = budget.Lend(64 * kMiB, 0);
  EXPECT_GT(alone, second);
  EXPECT_GT(second, third);
  EXPECT_EQ(budget.Lend(64 * kMiB, alone), third);
  budget.GiveBack(second);
  budget.GiveBack(third);
  EXPECT_EQ(budget.Lend(64 * kMiB, third), alone);
}

// With more threads than there are bytes, each frees block by block.
TEST(FreeBudget, EachGetsSomething) {
  FreeBudget budget;
  EXPECT_EQ(budget.LendAnew(2 * kMiB, 3 * kMiB), 1u);
}

// Who is alone for long gets all of it, and gives up half when somebody comes.
TEST(FreeBudget, WhereNoThreadComesOrGoesAllOfItIsLent) {
  constexpr uint64_t kHeapBytes = 64 * kMiB;
  constexpr uint64_t kAll = FreeBudget::OfThreads(kHeapBytes, true);
  FreeBudget budget;
  budget.BeGuarded();
  uint64_t share = budget.Lend(kHeapBytes, 0);
  EXPECT_EQ(share, kAll / 2);
  for (int i = 0; i < 100; ++i) {
    share = budget.Lend(kHeapBytes, share);
    ASSERT_TRUE(share == kAll / 2 || share == kAll) << share;
  }
  EXPECT_EQ(share, kAll);
  EXPECT_EQ(budget.Lend(kHeapBytes, 0), 0u);
  EXPECT_EQ(budget.LendAnew(kHeapBytes, 2), kAll / 4);
  uint64_t other = kAll / 4;
  share = kAll / 4;
  for (int i = 0; i < 100; ++i) {
    share = budget.Lend(kHeapBytes, share);
    other = budget.Lend(kHeapBytes, other);
    ASSERT_GT(share, 0u);
    ASSERT_GT(other, 0u);
    ASSERT_LE(share + other, kAll);
  }
  EXPECT_EQ(share + other, kAll);
}

}  // namespace
}  // namespace morsel::alloc
