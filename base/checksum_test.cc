#include "base/checksum.h"

#include <gtest/gtest.h>

#include "base/bits.h"
#include "base/check.h"

namespace morsel {
namespace {

TEST(Checksum, MatchesXxh3OfNoBytes) {
  // These are what `xxhsum -H3` and `xxhsum -H2` of xxHash 0.8.1 print for no bytes.
  EXPECT_EQ(Checksum64("", 0), 0x2d06800538d394c2u);
  const Sum128 sum = Checksum128("", 0);
  EXPECT_EQ(sum.high, 0x99aa06d3014798d8u);
  EXPECT_EQ(sum.low, 0x6001c324468d497fu);
}

// A page is long enough for vector instructions. Whichever of them the processor has, the checksum
// must be the same, since images are read on other machines.
TEST(Checksum, MatchesXxh3OfAPage) {
  char page[4096];
  for (int i = 0; i < 4096; ++i) page[i] = static_cast<char>(i % 251);
  const Sum128 sum = Checksum128(page, sizeof page);
  EXPECT_EQ(sum.high, 0xe12cd72144990fe5u);
  EXPECT_EQ(sum.low, 0x7135ffa504f1bc71u);
}

TEST(Checksum, DiffersForDifferentBytes) {
  EXPECT_NE(Checksum64("a", 1), Checksum64("b", 1));
  EXPECT_FALSE(Checksum128("a", 1) == Checksum128("b", 1));
}

TEST(Bits, RoundAndCheckBounds) {
  EXPECT_EQ(AlignUp(1, 64), 64u);
  EXPECT_EQ(AlignDown(127, 64), 64u);
  EXPECT_EQ(DivideUp(129, 64), 3u);
  EXPECT_TRUE(Within(10, 6, 16));
  EXPECT_FALSE(Within(10, 7, 16));
  EXPECT_FALSE(Within(10, ~uint64_t{0}, 16));
}

TEST(CheckDeathTest, BrokenInvariantAbortsAndNamesIt) {
  EXPECT_DEATH(MORSEL_CHECK(1 == 2), "morsel: .*checksum_test.cc:.*invariant broken: 1 == 2");
  MORSEL_CHECK(1 == 1);
}

}  // namespace
}  // namespace morsel
