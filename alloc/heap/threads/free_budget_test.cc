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
    EXPECT_LE(
        FreeBudget::OfThreads(bytes) + FreeBudget::OfExtents(bytes) + FreeBudget::OfGuard(bytes),
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
    ASSERT_LE(sum, FreeBudget::OfThreads(kHeapBytes));
    ASSERT_GE(sum, FreeBudget::OfThreads(kHeapBytes) / 4);
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

}  // namespace
}  // namespace morsel::alloc
