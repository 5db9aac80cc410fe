#include "examples/pkggraph/debian_version.h"

#include <gtest/gtest.h>

#include <string_view>

namespace pkggraph {
namespace {

void ExpectEarlier(std::string_view a, std::string_view b) {
  EXPECT_LT(CompareVersions(a, b), 0) << a << " " << b;
  EXPECT_GT(CompareVersions(b, a), 0) << a << " " << b;
}

void ExpectEqual(std::string_view a, std::string_view b) {
  EXPECT_EQ(CompareVersions(a, b), 0) << a << " " << b;
  EXPECT_EQ(CompareVersions(b, a), 0) << a << " " << b;
}

TEST(DebianVersionTest, NumbersCountAsNumbers) {
  ExpectEarlier("1.9", "1.10");
  ExpectEarlier("9", "10");
  ExpectEqual("1.01", "1.1");
  ExpectEarlier("99999999999999999999", "100000000000000000000");
}

TEST(DebianVersionTest, EpochThenUpstreamThenRevision) {
  ExpectEarlier("9.9-9", "1:0.1-1");
  ExpectEqual("0:1-1", "1-1");
  ExpectEarlier("1.0-1", "1.0-2");
  ExpectEarlier("1.0-9", "1.1-1");
  ExpectEarlier("1-2-1", "1-3-1");
  ExpectEqual("1.0", "1.0-0");
}

TEST(DebianVersionTest, ATildeComesBeforeTheEnd) {
  ExpectEarlier("1.0~rc1", "1.0");
  ExpectEarlier("1.0~~", "1.0~");
  ExpectEarlier("1.0~", "1.0~a");
  ExpectEarlier("1.0-1~deb12u1", "1.0-1");
}

TEST(DebianVersionTest, LettersComeBeforeOtherCharacters) {
  ExpectEarlier("1.0a", "1.0+");
  ExpectEarlier("1.0", "1.0a");
  ExpectEarlier("1.0-1", "1.0-1+b1");
  ExpectEarlier("1.0A", "1.0a");
}

}  // namespace
}  // namespace pkggraph
