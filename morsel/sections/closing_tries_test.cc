#include "morsel/sections/closing_tries.h"

#include <gtest/gtest.h>

namespace morsel {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;

TEST(ClosingTries, EachIsTwiceAsLongAsTheLastOneAndTheGateIsOpenAsLong) {
  uint64_t now = 5;
  ClosingTries tries(now, 3000 * kMillisecond);
  for (const uint64_t ms : {10, 20, 40, 80, 160, 320, 640}) {
    tries.Closed(now);
    EXPECT_EQ(tries.TimeToWait(now, 1), ms * kMillisecond);
    EXPECT_EQ(tries.TimeToWait(now + kMillisecond, 1), (ms - 1) * kMillisecond);
    now += ms * kMillisecond;
    EXPECT_EQ(tries.TimeToWait(now, 1), 0u);
    EXPECT_EQ(tries.TimeToPause(now), ms * kMillisecond);
    now += ms * kMillisecond;
  }
  // 460 ms of its patience are left.
  tries.Closed(now);
  EXPECT_EQ(tries.TimeToWait(now, 1), 460 * kMillisecond);
  now += 460 * kMillisecond;
  EXPECT_EQ(tries.TimeToWait(now, 1), 0u);
  EXPECT_EQ(tries.TimeToPause(now), 0u);
}

// However many are inside, each waiting for its turn: nobody gets in before all have left.
TEST(ClosingTries, TheGateStaysClosedWhileFewerAndFewerAreInside) {
  uint64_t now = 0;
  ClosingTries tries(now, 3000 * kMillisecond);
  tries.Closed(now);
  for (uint64_t inside = 64; inside > 0; --inside) {
    EXPECT_EQ(tries.TimeToWait(now, inside), 10 * kMillisecond);
    now += 9 * kMillisecond;
    // Another look, and nobody has left since.
    EXPECT_EQ(tries.TimeToWait(now, inside), kMillisecond);
  }
}

TEST(ClosingTries, FewerInsideDoNotOutlastThePatience) {
  ClosingTries tries(0, 15 * kMillisecond);
  tries.Closed(0);
  EXPECT_EQ(tries.TimeToWait(0, 9), 10 * kMillisecond);
  EXPECT_EQ(tries.TimeToWait(8 * kMillisecond, 8), 7 * kMillisecond);
  EXPECT_EQ(tries.TimeToWait(15 * kMillisecond, 7), 0u);
  EXPECT_EQ(tries.TimeToPause(15 * kMillisecond), 0u);
}

// Later tries begin anew: others are inside then.
TEST(ClosingTries, MoreInsideThanInAnEarlierTryAreWaitedFor) {
  ClosingTries tries(0, 3000 * kMillisecond);
  tries.Closed(0);
  EXPECT_EQ(tries.TimeToWait(10 * kMillisecond, 1), 10 * kMillisecond);
  EXPECT_EQ(tries.TimeToWait(20 * kMillisecond, 1), 0u);
  EXPECT_EQ(tries.TimeToPause(20 * kMillisecond), 20 * kMillisecond);
  tries.Closed(40 * kMillisecond);
  EXPECT_EQ(tries.TimeToWait(40 * kMillisecond, 5), 20 * kMillisecond);
}

}  // namespace
}  // namespace morsel
