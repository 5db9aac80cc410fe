// Runs the heap over the simulated medium: threads that end while others go on, and frees by
// others into lines that are full. Few crashes of each run are tried, and many schedules.
#include <gtest/gtest.h>

#include <cstdio>
#include <vector>

#include "alloc/heap/heap_sim_threads_testing.h"
#include "sim/stores/explorer.h"

namespace morsel::alloc {
namespace {

constexpr double kSeconds = 30;

void ExploreScripts(sim::Target& target, const sim::Options& options,
                    const std::vector<sim::Script>& scripts) {
  sim::Explorer explorer(target, sim::FromEnvironment(options));
  do {
    for (const sim::Script& script : scripts) ASSERT_TRUE(explorer.Explore(script));
    explorer.ChangeSchedules();
  } while (sim::Thorough() && !explorer.counts().cut_short);
  std::printf("%s\n", explorer.Summary().c_str());
}

constexpr sim::Options kFewCrashes = {.crashes = 1,
                                      .effort = {.images_max = 8},
                                      .kills = false,
                                      .schedules = 24,
                                      .seconds = kSeconds};

// What one thread frees in its last destructors, and what it leaves, comes to the next one.
TEST(HeapSimThreadsTest, ThreadsThatFreeInTheirLastDestructorsAreReplaced) {
  using Op = HeapEndsTarget;
  HeapEndsTarget target;
  ExploreScripts(target, kFewCrashes,
                 {
                     {{Op::kDropAtEnd, Op::kLinkSmall}, {Op::kAwaitEnd, Op::kLinkSmall}},
                     {{Op::kDropAtEnd}, {Op::kAwaitEnd, Op::kLinkMiddle, Op::kDropOldest}},
                     {{Op::kHandOver}, {Op::kTakeOver, Op::kDropAtEnd}, {Op::kAwaitEnd, Op::kLose}},
                     {{Op::kDropAtEnd, Op::kHandBack},
                      {Op::kFreeTaken, Op::kDropAtEnd},
                      {Op::kAwaitEnd, Op::kSettle}},
                 });
}

TEST(HeapSimThreadsTest, ThreadsThatLinkInTheirLastDestructorsAreReplaced) {
  using Op = HeapEndsTarget;
  HeapEndsTarget target;
  ExploreScripts(
      target, kFewCrashes,
      {
          {{Op::kLinkAtEnd, Op::kLinkSmall}, {Op::kAwaitEnd, Op::kLinkSmall}},
          {{Op::kLinkAtEnd}, {Op::kAwaitEnd, Op::kLinkSmall}},
          {{Op::kLinkAtEnd, Op::kLose}, {Op::kLinkAtEnd}, {Op::kAwaitEnd, Op::kLinkSmall}},
      });
}

// The line of bits that becomes full is not flushed with the frees, for nothing is free in it. Then
// another thread frees a block of it.
TEST(HeapSimThreadsTest, OthersFreeBlocksOfAFullLine) {
  using Op = HeapFullLineTarget;
  HeapFullLineTarget target;
  sim::Options options = kFewCrashes;
  options.effort.images_max = 4;
  options.schedules = 60;
  ExploreScripts(target, options,
                 {{{Op::kFillLine, Op::kFreeUntilFlushed, Op::kLinkLast}, {Op::kFreeOfFull}}});
}

}  // namespace
}  // namespace morsel::alloc
