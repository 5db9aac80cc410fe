// Explores the metadata of a carved pool on the simulated medium: every crash in every short
// sequence of changes.
#include <gtest/gtest.h>

#include <cstdio>

#include "morsel/carved/carved_pool_metadata_sim_testing.h"
#include "sim/stores/explorer.h"

namespace morsel {
namespace {

// The most that one exploration may take, unless MORSEL_PROOF_SECONDS sets another limit.
constexpr double kSeconds = 60;

sim::Options Wanted() {
  return sim::FromEnvironment({.effort = {.images_max = sim::Thorough() ? 4096u : 64u,
                                          .later_images_max = 2,
                                          .crash_again_one_in = 64},
                               .seconds = kSeconds});
}

TEST(CarvedPoolMetadataSimTest, Sequences) {
  MetadataTarget target;
  sim::Explorer explorer(target, Wanted());
  EXPECT_TRUE(explorer.ExploreSequencesOf(MetadataTarget::kMove, sim::Thorough() ? 3 : 2));
  std::printf("%s\n", explorer.Summary().c_str());
}

// A morsel that is moved, or imported in another's place, is the old one or the new one.
TEST(CarvedPoolMetadataSimTest, Moves) {
  using Do = MetadataTarget::Operation;
  MetadataTarget target;
  sim::Explorer explorer(target, Wanted());
  for (const uint32_t before : {Do::kCreateHuge, Do::kGrow, Do::kRename, Do::kMove}) {
    EXPECT_TRUE(explorer.Explore({{before, Do::kMove}}));
  }
  for (const uint32_t after : {Do::kCreateHuge, Do::kRemove, Do::kCheckpoint, Do::kReopen}) {
    EXPECT_TRUE(explorer.Explore({{Do::kMove, after}}));
  }
  std::printf("%s\n", explorer.Summary().c_str());
}

// Formats a pool that is in use, after and before each other operation.
TEST(CarvedPoolMetadataSimTest, Formatting) {
  MetadataTarget target;
  sim::Explorer explorer(target, Wanted());
  for (uint32_t other = 0; other < MetadataTarget::kOperations; ++other) {
    EXPECT_TRUE(explorer.Explore({{MetadataTarget::kFormat, other}}));
    EXPECT_TRUE(explorer.Explore({{other, MetadataTarget::kFormat}}));
  }
  std::printf("%s\n", explorer.Summary().c_str());
}

// Three crashes in a row, so that the recovery from a crash in a recovery is interrupted, too.
TEST(CarvedPoolMetadataSimTest, CrashesInRecoveryOfARecovery) {
  sim::Options options = Wanted();
  options.crashes = 3;
  options.effort.images_max = 32;
  options.seconds = sim::Thorough() ? options.seconds : 4;
  MetadataTarget target;
  sim::Explorer explorer(target, options);
  for (uint32_t operation = 0; operation < MetadataTarget::kFormat; ++operation) {
    EXPECT_TRUE(explorer.Explore({{operation}}));
  }
  std::printf("%s\n", explorer.Summary().c_str());
}

// Sequences too long to try all of them, with more images of each, as many as there is time for.
TEST(CarvedPoolMetadataSimTest, LongSequencesAtRandom) {
  sim::Options options = Wanted();
  options.effort.images_max = 4096;
  options.seconds = sim::Thorough() ? options.seconds : 2;
  MetadataTarget target;
  sim::Explorer explorer(target, options);
  EXPECT_TRUE(explorer.ExploreRandom(MetadataTarget::kOperations, 4, 8));
  std::printf("%s\n", explorer.Summary().c_str());
}

}  // namespace
}  // namespace morsel
