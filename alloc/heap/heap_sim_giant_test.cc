// Runs a heap of two regions over the simulated medium: every crash of every short sequence of
// calls with extents that cross regions, and with searches that skip one.
#include <gtest/gtest.h>

#include <cstdio>

#include "alloc/heap/heap_sim_giant_testing.h"
#include "sim/stores/explorer.h"

namespace morsel::alloc {
namespace {

constexpr double kSeconds = 60;

TEST(HeapSimGiantTest, Sequences) {
  using Op = HeapGiantTarget;
  constexpr uint32_t kOperations[] = {Op::kLinkAcross, Op::kLinkAligned, Op::kShorten,
                                      Op::kDropNewest, Op::kDropOldest,  Op::kReopen};
  HeapGiantTarget target;
  sim::Explorer explorer(
      target, sim::FromEnvironment({.effort = {.images_max = sim::Thorough() ? 4096u : 64u,
                                               .later_images_max = 4,
                                               .crash_again_one_in = 16},
                                    .seconds = kSeconds}));
  for (const uint32_t first : kOperations) {
    for (const uint32_t second : kOperations) {
      ASSERT_TRUE(explorer.Explore({{first, second}}));
      for (const uint32_t third : kOperations) {
        if (!sim::Thorough()) break;
        ASSERT_TRUE(explorer.Explore({{first, second, third}}));
      }
    }
  }
  std::printf("%s\n", explorer.Summary().c_str());
}

}  // namespace
}  // namespace morsel::alloc
