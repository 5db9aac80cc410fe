#include "cli/units.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace morsel::cli {
namespace {

TEST(Units, AnAddressIsHexadecimal) {
  EXPECT_EQ(ParseAddress("0x200000000000"), 0x200000000000u);
  EXPECT_EQ(ParseAddress("0XfF"), 0xffu);
  for (const char* const wrong :
       {"", "0x", "0x0", "200000000000", "0x2g", "-0x2", "0x2 ", "0x11112222333344445"}) {
    EXPECT_THROW((void)ParseAddress(wrong), std::invalid_argument) << wrong;
  }
}

TEST(Units, SizesAreParsed) {
  EXPECT_EQ(ParseSize("0"), 0u);
  EXPECT_EQ(ParseSize("4096"), 4096u);
  EXPECT_EQ(ParseSize("17b"), 17u);
  EXPECT_EQ(ParseSize("4M"), 4u << 20);
  EXPECT_EQ(ParseSize("4m"), 4u << 20);
  EXPECT_EQ(ParseSize("2GiB"), uint64_t{2} << 30);
  EXPECT_EQ(ParseSize("1.5G"), uint64_t{3} << 29);
  EXPECT_EQ(ParseSize("0.5k"), 512u);
  EXPECT_EQ(ParseSize("7EiB"), uint64_t{7} << 60);
  EXPECT_EQ(ParseSize("9223372036854775807"), (uint64_t{1} << 63) - 1);
  EXPECT_EQ(ParseSize("9223372036854775806"), 9223372036854775806u);
}

TEST(Units, AnInvalidSizeIsRefusedAndQuoted) {
  for (const char* text : {"", "M", "-1", "4X", "4MB", "1.5", "1..5G", ".5G", "1.G", "0x10", "1e3",
                           "nan", "4 M", "4Mi", "8E", "99999999999999999999", "4M4"}) {
    try {
      ParseSize(text);
      FAIL() << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find("'" + std::string(text) + "'"), std::string::npos);
    }
  }
}

TEST(Units, NumbersAreBoundedAndSoAreTheirMessages) {
  const std::string digits(5000, '9');
  for (const std::string& text : {digits, digits + "G", digits + ".5G", std::string(5000, 'x')}) {
    try {
      ParseSize(text);
      FAIL() << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_LT(std::string(error.what()).size(), 200u);
    }
    EXPECT_THROW(ParseMode(text), std::invalid_argument);
  }
  EXPECT_EQ(ParseSize(std::string(5000, '0') + "7"), 7u);
  EXPECT_EQ(ParseSize("1." + std::string(5000, '0') + "G"), uint64_t{1} << 30);
}

TEST(Units, ModesAreParsed) {
  EXPECT_EQ(ParseMode("0640"), 0640u);
  EXPECT_EQ(ParseMode("777"), 0777u);
  for (const char* text : {"", "0", "8", "rw", "-1", "01777", "0640 ", "000000640"}) {
    EXPECT_THROW(ParseMode(text), std::invalid_argument) << text;
  }
}

TEST(Units, SizesAreFormatted) {
  EXPECT_EQ(FormatSize(0), "0 B");
  EXPECT_EQ(FormatSize(1023), "1023 B");
  EXPECT_EQ(FormatSize(1024), "1 KiB");
  EXPECT_EQ(FormatSize(1536), "1.5 KiB");
  EXPECT_EQ(FormatSize((1 << 20) - 1), "1 MiB");
  EXPECT_EQ(FormatSize(uint64_t{16} << 30), "16 GiB");
  EXPECT_EQ(FormatSize(~uint64_t{0}), "16 EiB");
  EXPECT_EQ(FormatSize(uint64_t{1} << 63), "8 EiB");
  EXPECT_EQ(FormatSize((uint64_t{1} << 63) + 1), "8 EiB");
  EXPECT_EQ(FormatSizeFully(640), "640 B");
  EXPECT_EQ(FormatSizeFully(1537), "1.5 KiB (1537 bytes)");
}

TEST(Units, AFormattedSizeIsParsedToTheSameSize) {
  for (uint64_t size = 1; size < uint64_t{1} << 60; size *= 2) {
    std::string text = FormatSize(size);
    text.erase(text.find(' '), 1);
    EXPECT_EQ(ParseSize(text), size) << text;
  }
}

TEST(Units, ModesAndAddressesAreFormatted) {
  EXPECT_EQ(FormatMode(0640), "rw-r-----");
  EXPECT_EQ(FormatMode(0751), "rwxr-x--x");
  EXPECT_EQ(FormatAddress(0x100100000000), "0x100100000000");
}

}  // namespace
}  // namespace morsel::cli
