#include "base/size_words.h"

#include <gtest/gtest.h>

#include <string>

namespace morsel {
namespace {

TEST(SizeWords, LargestUnitIsUsedAndRounded) {
  EXPECT_EQ(FormatSize(0), "0 B");
  EXPECT_EQ(FormatSize(1023), "1023 B");
  EXPECT_EQ(FormatSize(1024), "1 KiB");
  EXPECT_EQ(FormatSize(1536), "1.5 KiB");
  EXPECT_EQ(FormatSize((1 << 20) - 1), "1 MiB");
  EXPECT_EQ(FormatSize(uint64_t{16} << 30), "16 GiB");
  EXPECT_EQ(FormatSize(~uint64_t{0}), "16 EiB");
  // Ten times as many bytes are more than a number holds, and may come out as anything.
  for (unsigned bit = 60; bit < 64; ++bit) {
    const uint64_t bytes = uint64_t{1} << bit;
    EXPECT_EQ(FormatSize(bytes), std::to_string(1 << (bit - 60)) + " EiB");
    EXPECT_EQ(FormatSize(bytes + 1), std::to_string(1 << (bit - 60)) + " EiB");
  }
}

TEST(SizeWords, BytesAreAddedWhereTheUnitDoesNotSayThemExactly) {
  EXPECT_EQ(FormatSizeExactly(0), "0 B");
  EXPECT_EQ(FormatSizeExactly(6 << 20), "6 MiB");
  EXPECT_EQ(FormatSizeExactly(uint64_t{16} << 30), "16 GiB");
  EXPECT_EQ(FormatSizeExactly((uint64_t{16} << 30) + 4096), "16 GiB (17179873280 bytes)");
  EXPECT_EQ(FormatSizeExactly(~uint64_t{0}), "16 EiB (18446744073709551615 bytes)");
}

}  // namespace
}  // namespace morsel
