// Runs the heap over the simulated medium: every crash of every short sequence of calls.
#include <gtest/gtest.h>

#include <cstdio>

#include "alloc/heap/heap_sim_testing.h"
#include "sim/stores/explorer.h"

namespace morsel::alloc {
namespace {

using Op = HeapTarget::Operation;
using Room = HeapTarget::Room;

// How long one exploration may take, unless MORSEL_PROOF_SECONDS says otherwise.
constexpr double kSeconds = 60;

sim::Options Wanted(double seconds) {
  return sim::FromEnvironment({.effort = {.images_max = sim::Thorough() ? 4096u : 64u,
                                          .later_images_max = 2,
                                          .crash_again_one_in = 64},
                               .schedules = 4,
                               .seconds = seconds});
}

void ExploreSequences(Room room) {
  HeapTarget target(room);
  sim::Explorer explorer(target, Wanted(kSeconds));
  EXPECT_TRUE(explorer.ExploreSequencesOf(HeapTarget::kOperations, sim::Thorough() ? 3 : 2));
  std::printf("%s\n", explorer.Summary().c_str());
}

TEST(HeapSimTest, Sequences) { ExploreSequences(Room::kRoomy); }

// Slabs are made where extents and slabs of other classes were, and the reverse.
TEST(HeapSimTest, SequencesWhereThereIsLittleRoom) { ExploreSequences(Room::kTight); }

void ExploreScripts(std::initializer_list<sim::Script> scripts) {
  HeapTarget target;
  sim::Explorer explorer(target, Wanted(kSeconds));
  do {
    for (const sim::Script& script : scripts) ASSERT_TRUE(explorer.Explore(script));
    explorer.ChangeSchedules();
  } while (sim::Thorough() && !explorer.counts().cut_short);
  std::printf("%s\n", explorer.Summary().c_str());
}

// One thread allocates an object or unlinks one; another persists and links it, or frees it.
TEST(HeapSimTest, HandOverBetweenTwoThreads) {
  ExploreScripts({
      {{Op::kHandOver}, {Op::kTakeOver}},
      {{Op::kHandOver, Op::kLinkMiddle}, {Op::kLinkMiddle, Op::kTakeOver}},
      {{Op::kHandBack, Op::kLinkMiddle}, {Op::kFreeTaken, Op::kLinkMiddle}},
      {{Op::kLinkMiddle, Op::kHandBack}, {Op::kFreeTaken, Op::kSettle}},
      {{Op::kHandOver, Op::kHandBack}, {Op::kTakeOver, Op::kFreeTaken, Op::kLinkSmall}},
  });
}

TEST(HeapSimTest, HandOverAmongThreeThreads) {
  ExploreScripts({
      {{Op::kHandOver}, {Op::kTakeOver}, {Op::kLinkThree}},
      {{Op::kLinkMiddle, Op::kHandBack}, {Op::kFreeTaken}, {Op::kLinkSmall, Op::kSettle}},
      {{Op::kHandOver, Op::kLinkSmall}, {Op::kTakeOver, Op::kHandBack}, {Op::kFreeTaken}},
  });
}

// Sequences that are too long to try all of them, and more images of each, as long as time allows.
TEST(HeapSimTest, LongSequencesAtRandom) {
  sim::Options options = Wanted(2);
  options.effort.images_max = 4096;
  HeapTarget target(Room::kTight);
  sim::Explorer explorer(target, options);
  EXPECT_TRUE(explorer.ExploreRandom(HeapTarget::kOperations, 4, 15));
  std::printf("%s\n", explorer.Summary().c_str());
}

}  // namespace
}  // namespace morsel::alloc
