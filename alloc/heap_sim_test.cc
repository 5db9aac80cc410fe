// The heap over the simulated medium: every crash of every short sequence of calls.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "alloc/heap_sim_testing.h"
#include "pmem/sim/explorer.h"

namespace morsel::alloc {
namespace {

// So long as anything is to be explored; MORSEL_PROOF_SECONDS says otherwise.
constexpr double kSeconds = 15;

bool Thorough() { return std::getenv("MORSEL_PROOF_SECONDS") != nullptr; }

TEST(HeapSimTest, SequencesOfOneThread) {
  HeapTarget target;
  sim::Explorer explorer(
      target, sim::FromEnvironment(
                  {.later_images_max = 16, .crash_again_one_in = 64, .seconds = kSeconds}));
  EXPECT_TRUE(explorer.ExploreSequences(HeapTarget::kOperations, Thorough() ? 3 : 2));
  std::printf("%s\n", explorer.Summary().c_str());
}

// One thread allocates or unlinks, another persists and links, or frees.
TEST(HeapSimTest, HandOverBetweenTwoThreads) {
  using Op = HeapTarget::Operation;
  const sim::Script scripts[] = {
      {{Op::kHandOver}, {Op::kTakeOver}},
      {{Op::kHandOver, Op::kLinkSmall}, {Op::kTakeOver}},
      {{Op::kHandOver, Op::kLinkMiddle}, {Op::kLinkSmall, Op::kTakeOver}},
      {{Op::kLinkSmall, Op::kHandBack}, {Op::kLinkSmall, Op::kFreeTaken, Op::kFreeTaken}},
      {{Op::kHandOver, Op::kHandBack}, {Op::kTakeOver, Op::kFreeTaken, Op::kLinkSmall}},
  };
  HeapTarget target;
  sim::Explorer explorer(target, sim::FromEnvironment({.later_images_max = 8,
                                                       .crash_again_one_in = 128,
                                                       .schedules = Thorough() ? 64u : 4u,
                                                       .seconds = kSeconds}));
  for (const sim::Script& script : scripts) EXPECT_TRUE(explorer.Explore(script));
  std::printf("%s\n", explorer.Summary().c_str());
}

}  // namespace
}  // namespace morsel::alloc
