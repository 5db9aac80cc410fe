// Images under every crash of a disk, and with every call failing.
#include <gtest/gtest.h>

#include <cstdio>

#include "pmem/sim/files/file_explorer.h"
#include "pmem/sim/files/image_target.h"

namespace morsel::sim {
namespace {

using Do = ImageTarget::Operation;

constexpr FileOptions kQuick = {.effort = {.images_max = 8,
                                           .later_images_max = 3,
                                           .faulted_images_max = 3,
                                           .go_on_one_in = 4,
                                           .crash_again_one_in = 8},
                                .seconds = 60};
constexpr Effort kMost = {.images_max = 4096, .later_images_max = 16, .faulted_images_max = 64};

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kCovers = false;
#else
constexpr bool kCovers = true;
#endif

void Tell(const FileExplorer& explorer) { std::printf("%s\n", explorer.Summary().c_str()); }

TEST(ImageFilesTest, SequencesOfUpToThree) {
  ImageTarget target("image, every 3 calls");
  FileExplorer explorer(target, FileOptionsFor(kQuick, kMost));
  EXPECT_TRUE(explorer.Deepen([&] { return explorer.ExploreSequences(3); }));
  Tell(explorer);
}

TEST(ImageFilesTest, FiftyCheckpoints) {
  ImageTarget target("image, 50 checkpoints");
  FileOptions quick = kQuick;
  quick.effort.images_max = 4;
  quick.effort.crash_again_one_in = 32;
  quick.effort.covered_max = 4096;
  FileExplorer explorer(target, FileOptionsFor(quick, kMost));
  EXPECT_TRUE(explorer.ExploreRandom(50));
  Tell(explorer);
  if (explorer.counts().cut_short || !kCovers) return;
  EXPECT_EQ(explorer.counts().samples, 0u) << "points of which not all images were stood for";
  EXPECT_GE(explorer.counts().covers, 50u);
}

TEST(ImageFilesTest, EveryCallFails) {
  ImageTarget target("image, every call fails");
  FileExplorer explorer(target, FileOptionsFor(kQuick, kMost));
  const FileScript script = {Do::kTouch,  Do::kGrow,   Do::kReopen, Do::kTouch,
                             Do::kShrink, Do::kRemove, Do::kTouch,  Do::kReopen};
  EXPECT_TRUE(explorer.Deepen([&] { return explorer.ExploreFaults(script); }));
  Tell(explorer);
}

// Of the two syncs of a checkpoint one is missing: what a superblock leads to is not durable before
// it, or it is not durable itself when the checkpoint is told to be. A sample finds that, and so do
// the images that stand for all.
class WithoutASync : public ImageTarget {
 public:
  explicit WithoutASync(uint64_t which)
      : ImageTarget("image, without a sync of each checkpoint"), which_(which) {}
  std::string Recover(FileWorld& world) override {
    world.files().OmitDataSyncs(which_);
    return ImageTarget::Recover(world);
  }

 private:
  uint64_t which_;
};

TEST(ImageFilesTest, AMissingSyncIsFound) {
  for (const uint64_t which : {0, 1}) {
    for (const uint64_t covered_max : {0, 4096}) {
      WithoutASync target(which);
      Effort effort = kQuick.effort;
      effort.covered_max = covered_max;
      if (covered_max > 0) effort.images_max = 0;
      FileExplorer explorer(target, {.effort = effort, .seconds = 60});
      EXPECT_FALSE(explorer.Explore({Do::kTouch, Do::kTouch, Do::kTouch}))
          << "sync " << which << ", covered " << covered_max;
    }
  }
}

}  // namespace
}  // namespace morsel::sim
