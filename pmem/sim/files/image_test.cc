// Images under every crash of a disk, and with every call failing.
#include <gtest/gtest.h>

#include <cstdio>

#include "pmem/sim/files/file_explorer.h"
#include "pmem/sim/files/image_target.h"

namespace morsel::sim {
namespace {

using Do = ImageTarget::Operation;

constexpr FileOptions kQuick = {.images_max = 16,
                                .later_images_max = 3,
                                .faulted_images_max = 3,
                                .go_on_one_in = 4,
                                .crash_again_one_in = 8,
                                .seconds = 6};
constexpr FileOptions kProof = {
    .images_max = 4096, .later_images_max = 16, .faulted_images_max = 64, .crash_again_one_in = 4};

void Tell(const FileExplorer& explorer) { std::printf("%s\n", explorer.Summary().c_str()); }

TEST(ImageFilesTest, SequencesOfUpToThree) {
  ImageTarget target("image, every 3 calls");
  FileExplorer explorer(target, FileOptionsFor(kQuick, kProof));
  EXPECT_TRUE(explorer.Deepen([&] { return explorer.ExploreSequences(3); }));
  Tell(explorer);
}

TEST(ImageFilesTest, FiftyCheckpoints) {
  ImageTarget target("image, 50 checkpoints");
  FileOptions quick = kQuick;
  quick.images_max = 4;
  quick.crash_again_one_in = 32;
  FileExplorer explorer(target, FileOptionsFor(quick, kProof));
  EXPECT_TRUE(explorer.ExploreRandom(1, 50));
  Tell(explorer);
}

}  // namespace
}  // namespace morsel::sim
