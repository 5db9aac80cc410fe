// Tries every crash of a disk on images, and a failure of every call.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "sim/disk/file_explorer.h"
#include "tests/disk/image_target.h"

namespace morsel::sim {
namespace {

using Do = ImageTarget::Operation;

constexpr Options kQuick = {.effort = {.images_max = 8,
                                       .later_images_max = 3,
                                       .crash_again_one_in = 6,
                                       .faulted_images_max = 3,
                                       .go_on_one_in = 4},
                            .seconds = 100};
constexpr Effort kMost = {.images_max = 4096, .later_images_max = 16, .faulted_images_max = 64};

// The image's crash, that of its recovery, and that of the recovery from this.
constexpr uint64_t kCrashesCovered = 3;

/// Set where the same is tried with a log.
const bool kHasLog = std::getenv("MORSEL_LOG") != nullptr;
const char* const kName = kHasLog ? "image with a log" : "image";
/// Most operations with a log are as many calls as two without.
const int kLength = kHasLog ? 2 : 3;
const int kCheckpoints = kHasLog ? 8 : 50;

void PrintSummary(const FileExplorer& explorer) { std::printf("%s\n", explorer.Summary().c_str()); }

TEST(ImageFilesTest, ShortSequences) {
  ImageTarget target(kName, kHasLog);
  Options quick = kQuick;
  quick.effort.covered_max = 4096;
  quick.effort.covered_crashes = kCrashesCovered;
  FileExplorer explorer(target, FileOptionsFor(quick, kMost));
  EXPECT_TRUE(
      explorer.Deepen([&] { return explorer.ExploreSequencesOf(target.operations(), kLength); }));
  PrintSummary(explorer);
  EXPECT_EQ(explorer.NotCovered(), "");
}

TEST(ImageFilesTest, ManyCheckpoints) {
  ImageTarget target(kName, kHasLog);
  Options quick = kQuick;
  quick.effort.images_max = 4;
  quick.effort.crash_again_one_in = 32;
  quick.scripts = 1;
  quick.effort.covered_max = 4096;
  quick.effort.covered_crashes = kCrashesCovered;
  FileExplorer explorer(target, FileOptionsFor(quick, kMost));
  EXPECT_TRUE(explorer.ExploreRandom(target.operations(), [](const FileScript& script) {
    return std::count_if(script.begin(), script.end(), ImageTarget::IsCheckpoint) == kCheckpoints;
  }));
  PrintSummary(explorer);
  EXPECT_EQ(explorer.NotCovered(), "");
}

TEST(ImageFilesTest, SurvivesAFailureOfEachCall) {
  ImageTarget target(kName, kHasLog);
  FileExplorer explorer(target, FileOptionsFor(kQuick, kMost));
  FileScript script = {Do::kTouch,  Do::kGrow,   Do::kReopen, Do::kTouch,
                       Do::kShrink, Do::kRemove, Do::kTouch,  Do::kReopen};
  if (kHasLog) {
    script = {Do::kTouch, Do::kTouch, Do::kReopen, Do::kTouch, Do::kSettle};
  }
  EXPECT_TRUE(explorer.Deepen([&] { return explorer.ExploreFaults(script); }));
  PrintSummary(explorer);
}

// Of the two syncs of a checkpoint one is missing: what a superblock leads to is not durable before
// it, or it is not durable itself when the checkpoint is told to be. A sample finds that, and so do
// the images that stand for all.
class WithoutASync : public ImageTarget {
 public:
  explicit WithoutASync(uint64_t which)
      : ImageTarget("image, without a sync of each checkpoint"), which_(which) {}
  std::string Recover(FileWorld& world) override {
    world.files().OmitDataSyncs([this](uint64_t number) { return number % 2 == which_; });
    return ImageTarget::Recover(world);
  }

 private:
  uint64_t which_;
};

TEST(ImageFilesTest, FindsAMissingSync) {
  for (const uint64_t which : {0, 1}) {
    for (const uint64_t covered_max : {0, 4096}) {
      WithoutASync target(which);
      Effort effort = kQuick.effort;
      effort.covered_max = covered_max;
      if (covered_max > 0) effort.images_max = 0;
      FileExplorer explorer(target, {.effort = effort, .seconds = 60});
      EXPECT_FALSE(explorer.Explore({{Do::kTouch, Do::kTouch, Do::kTouch}}))
          << "sync " << which << ", covered " << covered_max;
    }
  }
}

// A record that is told to be durable and is not.
class WithoutTheSyncOfARecord : public ImageTarget {
 public:
  WithoutTheSyncOfARecord() : ImageTarget("image with a log, without its syncs", true) {}
  std::string Recover(FileWorld& world) override {
    world.files().OmitSyncsOfWrites();
    return ImageTarget::Recover(world);
  }
};

TEST(ImageFilesTest, FindsAMissingSyncOfARecord) {
  WithoutTheSyncOfARecord target;
  FileExplorer explorer(target, {.effort = kQuick.effort, .seconds = 60});
  EXPECT_FALSE(explorer.Explore({{Do::kTouch, Do::kTouch, Do::kTouch, Do::kTouch}}));
}

// After a kill the superblock that is found may be in a cache only. A recovery that goes on without
// making it durable gives away what the medium's own still leads to, and tells of a checkpoint that
// a power cut takes back: only all crashes of recovery show that.
class WithoutTheSyncOfOpening : public ImageTarget {
 public:
  WithoutTheSyncOfOpening() : ImageTarget("image, opened without a sync") {}
  std::string Recover(FileWorld& world) override {
    world.files().OmitDataSyncs([](uint64_t) { return true; });
    std::string wrong = ImageTarget::Recover(world);
    world.files().OmitDataSyncs({});
    return wrong;
  }
};

TEST(ImageFilesTest, FindsAMissingSyncOfRecovery) {
  for (const uint64_t crashes : {1, 2}) {
    WithoutTheSyncOfOpening target;
    const Effort effort = {.images_max = 0, .covered_max = 4096, .covered_crashes = crashes};
    // No sample crashes recovery.
    FileExplorer explorer(target, {.crashes = 1, .effort = effort, .seconds = 60});
    const bool is_found = !explorer.Explore({{Do::kTouch, Do::kTouch, Do::kTouch}});
    EXPECT_EQ(is_found, crashes == 2) << crashes << " crashes in a row";
    if (!is_found) continue;
    ASSERT_EQ(explorer.failure()->crashes.size(), 2u);
    EXPECT_TRUE(explorer.failure()->crashes[0].kill);
    EXPECT_FALSE(explorer.failure()->crashes[1].lost.empty());
  }
}

}  // namespace
}  // namespace morsel::sim
