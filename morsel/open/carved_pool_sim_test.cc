// Explores a carved pool on the simulated medium: every crash in every short sequence of calls.
#include <gtest/gtest.h>

#include <cstdio>

#include "morsel/open/carved_pool_sim_testing.h"
#include "sim/stores/explorer.h"

namespace morsel {
namespace {

using Pool = CarvedPoolTarget::Pool;
using Op = CarvedPoolTarget::Operation;

// The most that one exploration may take, unless MORSEL_PROOF_SECONDS sets another limit.
constexpr double kSeconds = 60;

sim::Options Wanted(double seconds) {
  return sim::FromEnvironment({.effort = {.images_max = sim::Thorough() ? 64u : 32u,
                                          .later_images_max = 2,
                                          .crash_again_one_in = 256},
                               .seconds = seconds});
}

TEST(CarvedPoolSimTest, Sequences) {
  sim::Options options = Wanted(kSeconds);
  options.kills = false;
  CarvedPoolTarget target(Pool::kSmall);
  sim::Explorer explorer(target, options);
  EXPECT_TRUE(explorer.ExploreSequencesOf(CarvedPoolTarget::kOperations, sim::Thorough() ? 3 : 2));
  std::printf("%s\n", explorer.Summary().c_str());
}

// After each kill every crash of the next incarnation is tried, which makes many more cases.
TEST(CarvedPoolSimTest, ShorterSequencesWithKills) {
  CarvedPoolTarget target(Pool::kSmall);
  sim::Explorer explorer(target, Wanted(kSeconds));
  EXPECT_TRUE(explorer.ExploreSequencesOf(CarvedPoolTarget::kOperations, sim::Thorough() ? 2 : 1));
  std::printf("%s\n", explorer.Summary().c_str());
}

TEST(CarvedPoolSimTest, GiantMorsels) {
  const sim::Script scripts[] = {
      {{Op::kCreateGiant, Op::kRootNear}},
      {{Op::kRemove, Op::kCreateGiant, Op::kRemove}},
      {{Op::kCreateGiant, Op::kRootNear, Op::kReopen, Op::kCreateGiant}},
  };
  sim::Options options = Wanted(kSeconds);
  options.kills = sim::Thorough();
  CarvedPoolTarget target(Pool::kWithGiant);
  sim::Explorer explorer(target, options);
  for (const sim::Script& script : scripts) EXPECT_TRUE(explorer.Explore(script));
  std::printf("%s\n", explorer.Summary().c_str());
}

// An imported morsel is there whole, in subtrees that another morsel had before.
TEST(CarvedPoolSimTest, ImportedMorsels) {
  const sim::Script scripts[] = {
      {{Op::kRemove, Op::kImport, Op::kCheckpoint}},
      {{Op::kCreate, Op::kRootFar, Op::kRemove, Op::kRemove, Op::kImport, Op::kRootNear}},
  };
  sim::Options options = Wanted(kSeconds);
  options.kills = sim::Thorough();
  CarvedPoolTarget target(Pool::kSmall);
  sim::Explorer explorer(target, options);
  for (const sim::Script& script : scripts) EXPECT_TRUE(explorer.Explore(script));
  std::printf("%s\n", explorer.Summary().c_str());
}

// Sequences too long to try all of them, with more images of each, as many as there is time for.
TEST(CarvedPoolSimTest, LongSequencesAtRandom) {
  sim::Options options = Wanted(2);
  options.effort.images_max = 4096;
  CarvedPoolTarget target(Pool::kSmall);
  sim::Explorer explorer(target, options);
  EXPECT_TRUE(explorer.ExploreRandom(CarvedPoolTarget::kOperations, 3, 7));
  std::printf("%s\n", explorer.Summary().c_str());
}

}  // namespace
}  // namespace morsel
