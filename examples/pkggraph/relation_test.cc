#include "examples/pkggraph/relation.h"

#include <gtest/gtest.h>

#include <string>

#include "examples/pkggraph/parse_error.h"

namespace pkggraph {
namespace {

std::vector<Relation> Parse(std::string_view value, EdgeKind kind = EdgeKind::kDepends) {
  std::vector<Relation> relations;
  ParseRelations(kind, value, 10, 0, relations);
  return relations;
}

// The relations as text: "kind clause name:qualifier order version; ..."
std::string Shown(std::string_view value, EdgeKind kind = EdgeKind::kDepends) {
  std::string text;
  for (const Relation& relation : Parse(value, kind)) {
    text += std::string(EdgeKindName(relation.kind)) + " " + std::to_string(relation.clause) + " " +
            std::string(relation.name);
    if (!relation.qualifier.empty()) text += ":" + std::string(relation.qualifier);
    if (relation.order != VersionOrder::kAny) {
      text +=
          std::string(" ") + VersionOrderSign(relation.order) + " " + std::string(relation.version);
    }
    text += "; ";
  }
  return text;
}

std::string ErrorOf(std::string_view value, EdgeKind kind = EdgeKind::kDepends) {
  try {
    Parse(value, kind);
  } catch (const ParseError& error) {
    return error.what();
  }
  return "";
}

void ExpectError(std::string_view value, const std::string& beginning,
                 EdgeKind kind = EdgeKind::kDepends) {
  EXPECT_EQ(ErrorOf(value, kind).substr(0, beginning.size()), beginning) << ErrorOf(value, kind);
}

TEST(RelationTest, PlainNames) {
  EXPECT_EQ(Shown("a"), "Depends 0 a; ");
  EXPECT_EQ(Shown("libstdc++6, x2.0-dev"), "Depends 0 libstdc++6; Depends 1 x2.0-dev; ");
  EXPECT_EQ(Shown(""), "");
}

TEST(RelationTest, VersionsAndQualifiers) {
  EXPECT_EQ(Shown("a (>= 1:2.3~rc1+b-4)"), "Depends 0 a >= 1:2.3~rc1+b-4; ");
  EXPECT_EQ(Shown("a:any(<<2),b:i386 ( =  3 )"), "Depends 0 a:any << 2; Depends 1 b:i386 = 3; ");
  EXPECT_EQ(Shown("a (>> 1), a (<= 2)"), "Depends 0 a >> 1; Depends 1 a <= 2; ");
}

TEST(RelationTest, TheOldSigns) {
  EXPECT_EQ(Shown("a (> 1), b (< 2)"), Shown("a (>= 1), b (<= 2)"));
}

TEST(RelationTest, AlternativesShareTheirClause) {
  EXPECT_EQ(Shown("a, b (>= 1) | c:any |d, e"),
            "Depends 0 a; Depends-Alternative 1 b >= 1; Depends-Alternative 1 c:any; "
            "Depends-Alternative 1 d; Depends 2 e; ");
  EXPECT_EQ(Shown("a|b", EdgeKind::kPreDepends),
            "Pre-Depends-Alternative 0 a; Pre-Depends-Alternative 0 b; ");
}

TEST(RelationTest, FoldedAndUntidy) {
  EXPECT_EQ(Shown("\n a\n\t, b\r\n |\n c , "),
            "Depends 0 a; Depends-Alternative 1 b; Depends-Alternative 1 c; ");
  EXPECT_EQ(Shown(",, a,,b,"), "Depends 0 a; Depends 1 b; ");
}

TEST(RelationTest, Provides) {
  EXPECT_EQ(Shown("v, w (= 1.0)", EdgeKind::kProvides), "Provides 0 v; Provides 1 w = 1.0; ");
  ExpectError("v | w", "line 10: Provides has no alternatives", EdgeKind::kProvides);
}

TEST(RelationTest, MistakesAreNamed) {
  ExpectError("a b", "line 10: expected ',' or '|', found \"b\"");
  ExpectError("a |", "line 10: expected a package's name, found the field's end");
  ExpectError("| a", "line 10: expected a package's name");
  ExpectError("a | , b", "line 10: expected a package's name, found \", b\"");
  ExpectError("a:", "line 10: expected an architecture");
  ExpectError("a (1)", "line 10: expected one of << <= = >= >>, found \"1)\"");
  ExpectError("a (== 1)", "line 10: expected one of << <= = >= >>, found \"==\"");
  ExpectError("a (>= )", "line 10: expected a version");
  ExpectError("a (>= 1", "line 10: expected ')', found the field's end");
  ExpectError("a (>= 1 2)", "line 10: expected ')'");
  ExpectError("a [amd64]", "line 10: a restriction \"[amd64]\"");
  ExpectError("a <!nocheck>", "line 10: a restriction");
  ExpectError("\xc3\xa4", "line 10: expected a package's name");
}

TEST(RelationTest, TheLineIsThatOfTheMistake) { ExpectError("a,\n b,\n c d", "line 12: "); }

}  // namespace
}  // namespace pkggraph
