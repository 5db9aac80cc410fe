// Replaced pages are read many at a time, and those that cannot be read are reported one by one.
#include "image/load/patch_reader.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "image/store_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::image {
namespace {

class PatchReaderTest : public StoreTest {
 protected:
  static constexpr uint64_t kSubtrees = 8;
  static constexpr uint64_t kCheckpoints = 5;
  static constexpr uint64_t kPages = 200;

  // Makes an image "a" with replaced pages, some of which were replaced again.
  void SetUp() override {
    for (uint64_t i = 0; i < kSubtrees; ++i) FillSubtree(memory_, i, i);
    Result<ImageFile> image = Create("a", memory_);
    ASSERT_TRUE(image.has_value()) << LastError();
    std::mt19937_64 random(3);
    for (uint64_t checkpoint = 0; checkpoint < kCheckpoints; ++checkpoint) {
      const os::PageSet dirty = ChangePages(memory_, random, kPages);
      ASSERT_TRUE(image->Store(memory_.data(), memory_.size(), 0, &dirty).ok()) << LastError();
    }
    tree_ = TreeOf("a");
    ASSERT_GT(tree_.patch_count, 4 * kPages);
  }

  Memory memory_ = MemoryOf(kSubtrees);
  Tree tree_;
};

TEST_F(PatchReaderTest, FewReadsReadAllPages) {
  os::ScriptedCalls calls;
  const Result<ImageFile> image = Open("a", true, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  Memory pages = MemoryOf(kSubtrees);
  PatchReader reader(image->file(), kTestBase);
  uint64_t ended = 0;
  calls.CountAnew();
  ASSERT_TRUE(reader
                  .Read(tree_, pages.data(),
                        [&](SubtreePosition, Status status) {
                          ++ended;
                          return status;
                        })
                  .ok())
      << LastError();
  EXPECT_EQ(ended, tree_.patch_count);
  EXPECT_LE(calls.count(os::Call::kRead), tree_.patch_count / 16);
  for (const auto& [position, patches] : tree_.patches) {
    for (const LivePatch& patch : *patches) {
      const uint64_t at = position.value() * kSubtreeBytes + patch.page * kPageBytes;
      EXPECT_EQ(pages.compare(at, kPageBytes, memory_, at, kPageBytes), 0);
    }
  }
}

// One page of each leaf is bad in turn.
TEST_F(PatchReaderTest, OnlyTheBadPageOfARunIsReported) {
  for (const auto& [position, patches] : tree_.patches) {
    os::ScriptedCalls calls;
    const Result<ImageFile> image = Open("a", true, calls);
    ASSERT_TRUE(image.has_value()) << LastError();
    const LivePatch& bad = patches->at(patches->size() / 2);
    calls.Play(os::FailReadsOf(bad.offset + 100));
    PatchReader reader(image->file(), kTestBase);
    std::vector<SubtreePosition> told;
    uint64_t sound = 0;
    const auto ended = [&](SubtreePosition of, const Status& status) {
      if (status.ok()) ++sound;
      if (!status.ok()) told.push_back(of);
      return Status();
    };
    Memory pages = MemoryOf(kSubtrees);
    ASSERT_TRUE(reader.Read(tree_, pages.data(), ended).ok()) << LastError();
    EXPECT_EQ(told, std::vector<SubtreePosition>{position});
    EXPECT_EQ(sound, tree_.patch_count - 1);
  }
}

// A damaged image may say so, and of more pages than a run has room for.
TEST_F(PatchReaderTest, PagesThatClaimOnePlaceAreEachVerified) {
  const auto& [position, patches] = *tree_.patches.begin();
  const LivePatch one = patches->front();
  LeafPatches same;
  for (uint32_t page = 0; page < kPagesPerLeaf; ++page) {
    same.push_back({one.offset, one.sum, one.generation, page});
    if (page % 3 == 0) same.back().sum.low ^= 1;
  }
  Tree tree;
  tree.patches[position] = std::make_shared<const LeafPatches>(same);
  tree.patch_count = same.size();
  const Result<ImageFile> image = Open("a", true);
  PatchReader reader(image->file(), kTestBase);
  uint64_t damaged = 0;
  ASSERT_TRUE(reader
                  .Read(tree, nullptr,
                        [&](SubtreePosition, const Status& status) {
                          damaged += status.code() == Code::kCorrupt ? 1 : 0;
                          return Status();
                        })
                  .ok());
  EXPECT_EQ(damaged, (kPagesPerLeaf + 2) / 3);
}

}  // namespace
}  // namespace morsel::image
