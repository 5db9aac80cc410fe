#include "examples/pkggraph/stanza.h"

#include <gtest/gtest.h>

#include <string>

#include "examples/pkggraph/parse_error.h"

namespace pkggraph {
namespace {

using std::string_literals::operator""s;

// What the error says when the text is read to its end; "" where there is none.
std::string ErrorOf(const std::string& text) {
  StanzaReader reader(text);
  try {
    while (!reader.Next().empty()) {
    }
  } catch (const ParseError& error) {
    return error.what();
  }
  return "";
}

void ExpectError(const std::string& text, const std::string& beginning) {
  EXPECT_EQ(ErrorOf(text).substr(0, beginning.size()), beginning) << ErrorOf(text);
}

TEST(StanzaTest, StanzasAreSeparatedByBlankLines) {
  const std::string text = "\n\n \nA: 1\nB: 2\n\n\t \n\nA: 3";
  StanzaReader reader(text);
  const auto& first = reader.Next();
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].name, "A");
  EXPECT_EQ(first[0].value, "1");
  EXPECT_EQ(first[0].line, 4u);
  EXPECT_EQ(first[1].line, 5u);
  const auto& second = reader.Next();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].value, "3");
  EXPECT_EQ(second[0].line, 9u);
  EXPECT_TRUE(reader.Next().empty());
  EXPECT_TRUE(reader.Next().empty());
  EXPECT_EQ(reader.offset(), text.size());
}

TEST(StanzaTest, ValuesAreTrimmedAndMayHoldColons) {
  StanzaReader reader("A:1:2 : 3 \t\r\nB:\r\nC:\t x\n");
  const auto& fields = reader.Next();
  ASSERT_EQ(fields.size(), 3u);
  EXPECT_EQ(fields[0].value, "1:2 : 3");
  EXPECT_EQ(fields[1].value, "");
  EXPECT_EQ(fields[2].value, "x");
}

TEST(StanzaTest, ValuesMayBeFolded) {
  StanzaReader reader("A: one\n two\n .\n\tthree  \nB:\n four\nC: 5\n");
  const auto& fields = reader.Next();
  ASSERT_EQ(fields.size(), 3u);
  EXPECT_EQ(fields[0].value, "one\n two\n .\n\tthree");
  EXPECT_EQ(Trimmed(fields[1].value), "four");
  EXPECT_EQ(fields[1].line, 5u);
  EXPECT_EQ(fields[2].line, 7u);
}

TEST(StanzaTest, FieldsAreFoundInWhateverCase) {
  StanzaReader reader("pre-DEPENDS: a\nDepends: b\n");
  const auto& fields = reader.Next();
  ASSERT_NE(FindField(fields, "Pre-Depends"), nullptr);
  EXPECT_EQ(FindField(fields, "Pre-Depends")->value, "a");
  EXPECT_EQ(FindField(fields, "Depends")->value, "b");
  EXPECT_EQ(FindField(fields, "Depend"), nullptr);
}

TEST(StanzaTest, TextsWithoutStanzas) {
  EXPECT_EQ(ErrorOf(""), "");
  EXPECT_EQ(ErrorOf("\n"), "");
  EXPECT_EQ(ErrorOf(" \n\r\n"), "");
}

TEST(StanzaTest, MalformedLinesAreNamed) {
  ExpectError("A: 1\nwhat\n", "line 2: expected \"Field: value\", found \"what\"");
  ExpectError("A: 1\n\n: 1\n", "line 3: expected");
  ExpectError("A b: 1\n", "line 1: expected");
  ExpectError("# a remark: no\n", "line 1: expected");
  ExpectError("-A: 1\n", "line 1: expected");
  ExpectError("\xff\xfe: 1\n", "line 1: expected");
  ExpectError("A: 1\n\n B\n", "line 3: a line that begins with a blank");
  ExpectError("A: 1\nB: 2\na: 3\n", "line 3: the field \"a\" stands in line 1");
  ExpectError("A: 1\nB: \0\n"s, "line 2: a zero byte");
}

TEST(StanzaTest, QuotesArePrintableAndShort) {
  EXPECT_EQ(Quoted("a\x1b[m\n"), "\"a\\x1b[m\\x0a\"");
  EXPECT_EQ(Quoted(std::string(1000, 'x')).size(), 65u);
}

}  // namespace
}  // namespace pkggraph
