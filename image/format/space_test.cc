#include "image/format/space.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace morsel::image {
namespace {

constexpr uint64_t kBlock = kBlockBytes;

TEST(Space, FreeRunsAreWhatIsNotUsed) {
  const Space space({{3 * kBlock, kBlock}, {6 * kBlock, 2 * kBlock}});
  EXPECT_EQ(space.end(), 8 * kBlock);
  const std::map<uint64_t, uint64_t> free = {{2 * kBlock, 3 * kBlock}, {4 * kBlock, 6 * kBlock}};
  EXPECT_EQ(space.free_runs(), free);
}

TEST(Space, TakesTheSmallestRunThatHolds) {
  Space space({{4 * kBlock, kBlock}, {6 * kBlock, kBlock}});
  EXPECT_EQ(space.Take(kBlock), 5 * kBlock);
  EXPECT_EQ(space.Take(kBlock), 2 * kBlock);
  EXPECT_EQ(space.Take(2 * kBlock), 7 * kBlock);
  EXPECT_EQ(space.Take(kBlock), 3 * kBlock);
  EXPECT_EQ(space.Take(kBlock), 9 * kBlock);
}

// Then the smallest fragments are used first.
TEST(Space, TakeSomeLeavesFragmentsAloneUntilThereAreMany) {
  const uint64_t large = kFragmentBytes;
  // Free: one block, two blocks, one large run; one used block follows each.
  Space space({{3 * kBlock, kBlock}, {6 * kBlock, kBlock}, {7 * kBlock + large, kBlock}});
  const uint64_t end = space.end();
  EXPECT_EQ(space.TakeSome(kBlock, 2 * kBlock), (FileExtent{2 * kBlock, kBlock}));
  EXPECT_EQ(space.TakeSome(2 * large, 2 * kBlock), (FileExtent{7 * kBlock, large}));
  EXPECT_EQ(space.TakeSome(3 * kBlock, 2 * kBlock), (FileExtent{end, 3 * kBlock}));
  EXPECT_EQ(space.TakeSome(3 * kBlock, 0), (FileExtent{4 * kBlock, 2 * kBlock}));
  EXPECT_EQ(space.TakeSome(kBlock, 0), (FileExtent{end + 3 * kBlock, kBlock}));
  space.Give({2 * kBlock, kBlock});
  EXPECT_EQ(space.TakeSome(kBlock, 0), (FileExtent{2 * kBlock, kBlock}));
}

// So the larger runs are still there when a leaf or a list has to be written.
TEST(Space, TakeSomeUsesTheSmallestRunThatIsNotAFragment) {
  // Free: a large run, and behind it a smaller one.
  const uint64_t large = 4 * kFragmentBytes;
  const uint64_t first = 2 * kBlock;
  const uint64_t second = first + large + kBlock;
  Space space({{second - kBlock, kBlock}, {second + kFragmentBytes, kBlock}});
  const uint64_t end = space.end();
  EXPECT_EQ(space.TakeSome(large, 0), (FileExtent{second, kFragmentBytes}));
  EXPECT_EQ(space.TakeSome(kBlock, 0), (FileExtent{first, kBlock}));
  EXPECT_EQ(space.TakeSome(large, 0), (FileExtent{first + kBlock, large - kBlock}));
  EXPECT_EQ(space.TakeSome(large, 0), (FileExtent{end, large}));
}

TEST(Space, GivingBackTheLastExtentMovesTheEnd) {
  Space space;
  const uint64_t first = space.Take(kBlock);
  const uint64_t second = space.Take(kBlock);
  space.Give({first, kBlock});
  EXPECT_EQ(space.end(), second + kBlock);
  space.Give({second, kBlock});
  EXPECT_EQ(space.end(), kExtentsStart);
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
}

// Holds the space against a set of blocks: it compares owners, never totals.
TEST(Space, NoBlockHasTwoOwners) {
  std::mt19937_64 random(1);
  Space space;
  std::vector<FileExtent> owned;
  std::set<uint64_t> blocks;
  for (int step = 0; step < 5000; ++step) {
    if (owned.empty() || random() % 2 == 0) {
      const uint64_t size_bytes = (1 + random() % 9) * kBlock;
      const FileExtent extent = random() % 2 == 0
                                    ? FileExtent{space.Take(size_bytes), size_bytes}
                                    : space.TakeSome(size_bytes, random() % 64 * kBlock);
      for (uint64_t at = extent.offset; at < extent.end(); at += kBlock) {
        ASSERT_TRUE(at >= kExtentsStart && blocks.insert(at).second);
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
      for (uint64_t at = begin; at < end; at += kBlock) ASSERT_EQ(blocks.count(at), 0u);
    }
    ASSERT_EQ(space.end(), blocks.empty() ? kExtentsStart : *blocks.rbegin() + kBlock);
  }
}

}  // namespace
}  // namespace morsel::image
