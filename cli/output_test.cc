#include "cli/output.h"

#include <gtest/gtest.h>

namespace morsel::cli {
namespace {

TEST(Output, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({{"NAME"}, {"SIZE", Table::Align::kRight}, {"MODE"}});
  table.Add({"größe", "2 MiB", "rw"});
  table.Add({"b", "640 B", "rwx"});
  EXPECT_EQ(table.Text(),
            "NAME    SIZE  MODE\n"
            "größe  2 MiB  rw\n"
            "b      640 B  rwx\n");
}

TEST(Output, ValuesOfFactsAreInOneColumn) {
  Facts facts;
  facts.Add("id", "7");
  facts.Add("capacity", "16 GiB");
  EXPECT_EQ(facts.Text(), "id:        7\ncapacity:  16 GiB\n");
}

TEST(Output, PrintableEscapesControlCharacters) {
  EXPECT_EQ(Printable("a\x1b[2Jb\nc\x7f"), "a\\x1b[2Jb\\x0ac\\x7f");
  EXPECT_EQ(Printable("größe"), "größe");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "2J"),
            "\\xc2\\x9b2J");  // U+009B, CSI of C1
  EXPECT_EQ(Printable("\x9b"
                      "2J\xc3"),
            "\\x9b2J\\xc3");
  EXPECT_EQ(Printable("\xe2\x80\xae"
                      "a"),
            "\\xe2\\x80\\xaea");  // U+202E, right to left
  EXPECT_EQ(Printable("\xc0\xaf\xed\xa0\x80"), "\\xc0\\xaf\\xed\\xa0\\x80");
  EXPECT_EQ(InUtf8("a\n\xff\xc3\xb6"), "a\n\\xff\xc3\xb6");
}

// Names that differ in these alone look the same.
TEST(Output, PrintableEscapesWhatNobodySees) {
  for (const char* const unseen :
       {"\u00a0", "\u00ad", "\u034f", "\u115f", "\u1680", "\u180e",     "\u2000",    "\u200b",
        "\u200d", "\u200f", "\u202f", "\u2060", "\u2069", "\u2800",     "\u3000",    "\u3164",
        "\ue000", "\ufe0f", "\ufeff", "\uffa0", "\ufff9", "\U0001d173", "\U000e0041"}) {
    const std::string name = std::string("a") + unseen + "b";
    EXPECT_EQ(Printable(name).find(unseen), std::string::npos) << Printable(name);
    EXPECT_EQ(NameOfSpelling(SpellingOf(name)), name);
  }
  for (const char* const seen :
       {" ", "\u00ac", "\u00e9", "\u0430", "\u20ac", "\u4e2d", "\U0001f600"}) {
    EXPECT_EQ(Printable(seen), seen);
  }
}

TEST(Output, EachNameHasASpellingOfItsOwn) {
  EXPECT_EQ(SpellingOf("a\\x41"), "a\\x5cx41");
  EXPECT_EQ(SpellingOf("a\\b\\x4"), "a\\b\\x4");
  for (const char* const name : {"a", "a\\x41", "aA", "\\x5cx41", "\\", "\\x", "\\\\x41", "\xff\n",
                                 "\\xff", "größe", "\xc2\x9b"}) {
    EXPECT_EQ(NameOfSpelling(SpellingOf(name)), name);
  }
}

TEST(Output, LongLinesAreBrokenWhereTheirLastColumnBegins) {
  EXPECT_EQ(Wrapped("short\n", 10), "short\n");
  EXPECT_EQ(Wrapped("one two three four\n", 10), "one two\nthree four\n");
  EXPECT_EQ(Wrapped("  a   one two three\n", 12), "  a   one\n      two\n      three\n");
  EXPECT_EQ(Wrapped("  aaaaaaaaaaaaaaa b\n", 10), "  aaaaaaaaaaaaaaa b\n");
  EXPECT_EQ(Wrapped("\n", 10), "\n");
}

}  // namespace
}  // namespace morsel::cli
