#include "image/format/space.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace morsel::image {
namespace {

constexpr uint64_t kBlock = kBlockBytes;
/// What is before slot B.
constexpr FileExtent kBefore = {kExtentsStart, kSlotOffsets[1] - kExtentsStart};

// The n-th block behind slot B.
constexpr uint64_t At(uint64_t n) { return kFileBytesMin + n * kBlock; }

// All before slot B is used.
Space SpaceBehind(std::vector<FileExtent> used) {
  used.insert(used.begin(), kBefore);
  return Space(used);
}

TEST(Space, FreeRunsAreWhatIsNotUsed) {
  const Space space({{3 * kBlock, kBlock}, {At(1), kBlock}, {At(4), 2 * kBlock}});
  EXPECT_EQ(space.end(), At(6));
  const std::map<uint64_t, uint64_t> free = {
      {2 * kBlock, 3 * kBlock}, {4 * kBlock, kSlotOffsets[1]}, {At(0), At(1)}, {At(2), At(4)}};
  EXPECT_EQ(space.free_runs(), free);
}

TEST(Space, TakesTheSmallestRunThatHolds) {
  Space space = SpaceBehind({{At(2), kBlock}, {At(4), kBlock}});
  EXPECT_EQ(space.Take(kBlock), At(3));
  EXPECT_EQ(space.Take(kBlock), At(0));
  EXPECT_EQ(space.Take(2 * kBlock), At(5));
  EXPECT_EQ(space.Take(kBlock), At(1));
  EXPECT_EQ(space.Take(kBlock), At(7));
}

// Then the smallest fragments are used first.
TEST(Space, TakeSomeLeavesFragmentsAloneUntilThereAreMany) {
  const uint64_t large = kFragmentBytes;
  // Free: one block, two blocks, one large run; one used block follows each.
  Space space = SpaceBehind({{At(1), kBlock}, {At(4), kBlock}, {At(5) + large, kBlock}});
  const uint64_t end = space.end();
  EXPECT_EQ(space.TakeSome(kBlock, 2 * kBlock), (FileExtent{At(0), kBlock}));
  EXPECT_EQ(space.TakeSome(2 * large, 2 * kBlock), (FileExtent{At(5), large}));
  EXPECT_EQ(space.TakeSome(3 * kBlock, 2 * kBlock), (FileExtent{end, 3 * kBlock}));
  EXPECT_EQ(space.TakeSome(3 * kBlock, 0), (FileExtent{At(2), 2 * kBlock}));
  EXPECT_EQ(space.TakeSome(kBlock, 0), (FileExtent{end + 3 * kBlock, kBlock}));
  space.Give({At(0), kBlock});
  EXPECT_EQ(space.TakeSome(kBlock, 0), (FileExtent{At(0), kBlock}));
}

// So the larger runs are still there when a leaf or a list has to be written.
TEST(Space, TakeSomeUsesTheSmallestRunThatIsNotAFragment) {
  // Free: a large run, and behind it a smaller one.
  const uint64_t large = 4 * kFragmentBytes;
  const uint64_t first = At(0);
  const uint64_t second = first + large + kBlock;
  Space space = SpaceBehind({{second - kBlock, kBlock}, {second + kFragmentBytes, kBlock}});
  const uint64_t end = space.end();
  EXPECT_EQ(space.TakeSome(large, 0), (FileExtent{second, kFragmentBytes}));
  EXPECT_EQ(space.TakeSome(kBlock, 0), (FileExtent{first, kBlock}));
  EXPECT_EQ(space.TakeSome(large, 0), (FileExtent{first + kBlock, large - kBlock}));
  EXPECT_EQ(space.TakeSome(large, 0), (FileExtent{end, large}));
}

// [IMG-2]
TEST(Space, TakeApartIsInAnotherMebibyte) {
  Space space;
  const uint64_t first = space.Take(kBlock);
  EXPECT_EQ(first, kExtentsStart);
  EXPECT_EQ(space.TakeApart(kBlock, first), At(0)) << "behind slot B";
  EXPECT_EQ(space.TakeApart(kBlock, At(0)), kExtentsStart + kBlock);
  // A run goes on in the next one.
  Space run = SpaceBehind({{5 * kMiB, kBlock}});
  EXPECT_EQ(run.TakeApart(2 * kBlock, At(7)), 2 * kMiB);
  EXPECT_EQ(run.TakeApart(2 * kBlock, 2 * kMiB), At(0)) << "the smaller of the two";
  // Nothing is free, and the file ends in the same one.
  Space full = SpaceBehind({});
  const uint64_t last = full.Take(kBlock);
  EXPECT_EQ(full.TakeApart(kBlock, last), 2 * kMiB);
  EXPECT_EQ(full.Take(kBlock), last + kBlock) << "what is between is free";
}

// [IMG-10]
TEST(Space, PlacesOfLeavesAreAlignedAndSideBySide) {
  Space space;
  EXPECT_EQ(space.TakePlace(), kSubtreeBytes);
  EXPECT_EQ(space.TakePlace(), 2 * kSubtreeBytes);
  const uint64_t sums = space.Take(2 * kBlock);
  EXPECT_LT(sums, kSubtreeBytes) << "what is small lies before the leaves";
  EXPECT_EQ(space.TakePlace(), 3 * kSubtreeBytes);
  space.Give({2 * kSubtreeBytes, kSubtreeBytes});
  EXPECT_EQ(space.TakePlace(), 2 * kSubtreeBytes);
  // A run that holds no place is not taken.
  Space cut =
      SpaceBehind({{2 * kSubtreeBytes - kBlock, 2 * kBlock}, {4 * kSubtreeBytes - kBlock, kBlock}});
  EXPECT_EQ(cut.TakePlace(), 4 * kSubtreeBytes);
}

TEST(Space, GivingBackTheLastExtentMovesTheEnd) {
  Space space = SpaceBehind({});
  const uint64_t first = space.Take(kBlock);
  const uint64_t second = space.Take(kBlock);
  space.Give({first, kBlock});
  EXPECT_EQ(space.end(), second + kBlock);
  space.Give({second, kBlock});
  EXPECT_EQ(space.end(), kFileBytesMin) << "slot B stays";
  EXPECT_TRUE(space.free_runs().empty());
}

TEST(SpaceDeathTest, GivingBackTwiceAborts) {
  Space space;
  const uint64_t first = space.Take(2 * kBlock);
  space.Take(kBlock);
  space.Give({first, kBlock});
  EXPECT_DEATH(space.Give({first, kBlock}), "invariant");
  EXPECT_DEATH(space.Give({first, 2 * kBlock}), "invariant");
  EXPECT_DEATH(space.Give({64 * kBlock, kBlock}), "invariant");
  EXPECT_DEATH(space.Give({At(64), kBlock}), "invariant");
}

// Holds the space against a set of blocks: it compares owners, never totals.
TEST(Space, NoBlockHasTwoOwners) {
  std::mt19937_64 random(1);
  Space space;
  std::vector<FileExtent> owned;
  std::set<uint64_t> blocks;
  for (int step = 0; step < 3000; ++step) {
    if (owned.empty() || random() % 2 == 0) {
      const uint64_t size_bytes = (1 + random() % 9) * kBlock;
      FileExtent extent = {0, size_bytes};
      switch (random() % 8) {
        case 0:
          extent = {space.TakePlace(), kSubtreeBytes};
          break;
        case 1:
          extent.offset = space.TakeApart(size_bytes, random() % (4 * kMiB));
          break;
        case 2:
        case 3:
          extent.offset = space.Take(size_bytes);
          break;
        default:
          extent = space.TakeSome(size_bytes, random() % 64 * kBlock);
      }
      for (uint64_t at = extent.offset; at < extent.end(); at += kBlock) {
        ASSERT_TRUE(at >= kExtentsStart && at != kSlotOffsets[1] && blocks.insert(at).second);
      }
      owned.push_back(extent);
    } else {
      std::swap(owned[random() % owned.size()], owned.back());
      const FileExtent extent = owned.back();
      owned.pop_back();
      for (uint64_t at = extent.offset; at < extent.end(); at += kBlock) blocks.erase(at);
      space.Give(extent);
    }
    for (const auto& [begin, end] : space.free_runs()) {
      const auto used = blocks.lower_bound(begin);
      ASSERT_TRUE(used == blocks.end() || *used >= end);
    }
    const uint64_t last = blocks.empty() ? 0 : *blocks.rbegin() + kBlock;
    ASSERT_EQ(space.end(), std::max(kFileBytesMin, last));
  }
}

TEST(Space, ClaimsWhatIsFree) {
  Space space = SpaceBehind({{At(8), kBlock}});
  space.Claim({At(1), 2 * kBlock});
  const std::map<uint64_t, uint64_t> free = {{At(0), At(1)}, {At(3), At(8)}};
  EXPECT_EQ(space.free_runs(), free);
  EXPECT_DEATH(space.Claim({At(2), 2 * kBlock}), "");
  EXPECT_DEATH(space.Claim({At(7), 2 * kBlock}), "");
  space.Give({At(1), 2 * kBlock});
  EXPECT_EQ(space.free_runs(), (std::map<uint64_t, uint64_t>{{At(0), At(8)}}));
}

TEST(Space, OnAFullDiskCopiesMayLieInOnePart) {
  Space space = SpaceBehind({{At(8), 2 * kMiB}});
  const uint64_t end = space.end();
  EXPECT_GE(space.TakeApart(kBlock, At(8)), end);
  space.SetFull(true);
  EXPECT_EQ(space.TakeApart(kBlock, At(8)), At(0));
  space.SetFull(false);
  EXPECT_GE(space.TakeApart(kBlock, At(8)), end);
}

TEST(Space, TheLargestRunLosesSome) {
  Space space = SpaceBehind({{At(2), kBlock}, {At(8), kBlock}});
  EXPECT_EQ(space.TakeOfLargest(4 * kBlock), (FileExtent{At(3), 4 * kBlock}));
  EXPECT_EQ(space.TakeOfLargest(kMiB), (FileExtent{At(0), 2 * kBlock}));
  EXPECT_EQ(space.TakeOfLargest(kMiB), (FileExtent{At(7), kBlock}));
  EXPECT_EQ(space.TakeOfLargest(kMiB), FileExtent{});
}

}  // namespace
}  // namespace morsel::image
