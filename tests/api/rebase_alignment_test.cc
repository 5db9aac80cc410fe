// Blocks at multiples of more than 2 MiB, in a morsel that moves.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tests/api/rebase_testing.h"

namespace {

using namespace rebase_testing;

constexpr uint64_t kAlignments[] = {4 * kMiB, 16 * kMiB, 64 * kMiB};

class RebaseAlignmentTest : public RebaseTest {
 protected:
  // A morsel of 512 MiB with a block at a multiple of each alignment.
  void MakeAligned(const std::string& name, uint32_t flags = 0) {
    morsel::Morsel m =
        Open(pool_, name, {.flags = MORSEL_CREATE | flags, .capacity_bytes = 512 * kMiB});
    for (const uint64_t alignment : kAlignments) {
      void* const block = m.aligned_alloc(alignment, 2000);
      ASSERT_NE(block, nullptr) << morsel_last_error();
      std::memcpy(block, &alignment, sizeof alignment);
      ASSERT_TRUE(m.set_root(std::to_string(alignment).c_str(), block).ok());
    }
    ASSERT_TRUE(m.close().ok()) << morsel_last_error();
  }
  void ExpectAligned(const std::string& name) {
    morsel::Morsel m = Open(pool_, name);
    for (const uint64_t alignment : kAlignments) {
      const void* const block = morsel_root(m.handle(), std::to_string(alignment).c_str());
      ASSERT_NE(block, nullptr) << morsel_last_error();
      EXPECT_EQ(reinterpret_cast<uint64_t>(block) % alignment, 0u) << block;
      EXPECT_EQ(std::memcmp(block, &alignment, sizeof alignment), 0);
    }
    ASSERT_TRUE(m.discard().ok());
    ExpectSound(pool_);
  }
};

TEST_F(RebaseAlignmentTest, BlocksKeepItWhereThePoolChooses) {
  for (int i = 0; i < 10; ++i) {
    const std::string name = "m" + std::to_string(i);
    MakeAligned(name);
    const Moved moved = Rebase(pool_, name);
    ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(moved.doubts, std::vector<std::string>());
    ExpectAligned(name);
  }
}

// The base is a multiple of 1 GiB then, and was one of 2 MiB.
TEST_F(RebaseAlignmentTest, BlocksKeepItWhereTheCapacityGrows) {
  for (int i = 0; i < 10; ++i) {
    const std::string name = "m" + std::to_string(i);
    MakeAligned(name);
    morsel_rebase_options options{};
    options.capacity_bytes = 1024 * kGiB;
    // One may lie at a multiple of 1 GiB by chance, for which there is no room: that is told.
    ASSERT_EQ(Rebase(pool_, name, options).code, MORSEL_OK) << morsel_last_error();
    ExpectAligned(name);
  }
}

TEST_F(RebaseAlignmentTest, WithoutSuchBlocksAMorselGrowsByOneSubtreeAtMost) {
  MakeIndex(pool_, "m", 64 * kMiB);
  morsel_info before{};
  before.struct_size = sizeof before;
  ASSERT_EQ(morsel_find(pool_.handle(), "m", &before), MORSEL_OK);
  morsel_rebase_options options{};
  options.capacity_bytes = 16 * kGiB;
  EXPECT_EQ(Rebase(pool_, "m", options).info.size_bytes, before.size_bytes + 2 * kMiB);
}

TEST_F(RebaseAlignmentTest, AnAddressThatCannotKeepItIsDoubtful) {
  MakeAligned("m");
  morsel_rebase_options options{};
  options.base = static_cast<char*>(BaseOf(pool_, "m")) + 8 * kGiB + 2 * kMiB;
  options.flags = MORSEL_DRY_RUN;
  const Moved tried = Rebase(pool_, "m", options);
  options.flags = 0;
  const Moved moved = Rebase(pool_, "m", options);
  ASSERT_EQ(moved.code, MORSEL_OK) << morsel_last_error();
  ASSERT_EQ(moved.doubts.size(), 1u);
  EXPECT_EQ(tried.doubts, moved.doubts);
  EXPECT_EQ(moved.info.doubtful, 1u);
  EXPECT_NE(moved.doubts[0].find("MiB, is not at one any more, and 2 others neither"),
            std::string::npos)
      << moved.doubts[0];
  ExpectSound(pool_);
}

}  // namespace
