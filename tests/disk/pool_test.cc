// Tries every crash of a disk on directory pools, and a failure of every call.
#include <gtest/gtest.h>

#include <cstdio>

#include "sim/disk/file_explorer.h"
#include "tests/disk/pool_target.h"

namespace morsel::sim {
namespace {

using Do = PoolTarget::Operation;

constexpr Options kQuick = {.effort = {.images_max = 6,
                                       .later_images_max = 3,
                                       .crash_again_one_in = 8,
                                       .faulted_images_max = 3,
                                       .go_on_one_in = 6},
                            .seconds = 100};
constexpr Effort kMost = {.images_max = 4096, .later_images_max = 16, .faulted_images_max = 64};

// Whatever a crash may leave is tried, and so is what a second one leaves of that.
Options EveryDisk() {
  Options quick = kQuick;
  quick.effort.covered_max = 4096;
  quick.effort.covered_crashes = 2;
  return FileOptionsFor(quick, kMost);
}

void PrintSummary(const FileExplorer& explorer) { std::printf("%s\n", explorer.Summary().c_str()); }

TEST(PoolFilesTest, SequencesOfUpToThree) {
  PoolTarget target;
  FileExplorer explorer(target, EveryDisk());
  EXPECT_TRUE(explorer.Deepen([&] { return explorer.ExploreSequencesOf(Do::kMove, 3); }));
  PrintSummary(explorer);
  EXPECT_EQ(explorer.NotCovered(), "");
}

// A morsel that moves, or gives way to a backup, is the old one or the new one: every disk.
TEST(PoolFilesTest, MovesAndBackups) {
  PoolTarget target;
  FileExplorer explorer(target, EveryDisk());
  EXPECT_TRUE(explorer.Explore({{Do::kClose, Do::kMove, Do::kMove, Do::kCheckpoint}}));
  EXPECT_TRUE(explorer.Explore({{Do::kClose, Do::kCopy, Do::kMove, Do::kRename}}));
  EXPECT_TRUE(explorer.Explore({{Do::kClose, Do::kRestore, Do::kClose, Do::kRestore}}));
  EXPECT_TRUE(explorer.Explore({{Do::kClose, Do::kRestore, Do::kMove, Do::kRestore}}));
  PrintSummary(explorer);
  EXPECT_EQ(explorer.NotCovered(), "");
}

TEST(PoolFilesTest, LongSequences) {
  PoolTarget target;
  Options quick = kQuick;
  quick.effort.images_max = 4;
  quick.scripts = 6;
  FileExplorer explorer(target, FileOptionsFor(quick, kMost));
  EXPECT_TRUE(explorer.ExploreRandom(target.operations(), 20, 20));
  PrintSummary(explorer);
}

TEST(PoolFilesTest, SurvivesAFailureOfEachCall) {
  PoolTarget target;
  FileExplorer explorer(target, FileOptionsFor(kQuick, kMost));
  const FileScript script = {Do::kCheckpoint, Do::kDiscard, Do::kResize, Do::kReopen,    Do::kClose,
                             Do::kRename,     Do::kRename,  Do::kRemove, Do::kCheckpoint};
  EXPECT_TRUE(explorer.Deepen([&] { return explorer.ExploreFaults(script); }));
  PrintSummary(explorer);
}

// As many of the failures, at random, as there is time for.
TEST(PoolFilesTest, MovesAndBackupsSurviveAFailureOfEachCall) {
  Options quick = kQuick;
  quick.seconds = 2;
  for (const FileScript& script :
       {FileScript{Do::kClose, Do::kMove}, FileScript{Do::kClose, Do::kRestore, Do::kRestore}}) {
    PoolTarget target;
    FileExplorer explorer(target, FileOptionsFor(quick, kMost));
    EXPECT_TRUE(explorer.ExploreFaults(script));
    PrintSummary(explorer);
  }
}

}  // namespace
}  // namespace morsel::sim
