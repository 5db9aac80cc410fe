#include "examples/pkggraph/package_index.h"

#include <gtest/gtest.h>

#include "examples/pkggraph/failure.h"

namespace pkggraph {
namespace {

std::string ErrorOf(const std::string& text) {
  try {
    ParseIndex({"test", text});
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::kBadIndex);
    return failure.what();
  }
  return "";
}

void ExpectError(const std::string& text, const std::string& part) {
  EXPECT_NE(ErrorOf(text).find(part), std::string::npos) << ErrorOf(text);
}

constexpr const char* kWhole =
    "package: tool\n"
    "Status: install ok installed\n"
    "Version: 1:2.0-3\n"
    "Architecture: amd64\n"
    "Section: non-free/utils\n"
    "Installed-Size: 1234\n"
    "Depends: libc6 (>= 2.36), awk | perl:any\n"
    "Pre-Depends: dpkg\n"
    "Provides: thing (= 2), stuff\n"
    "Conffiles:\n"
    " /etc/tool 0123456789abcdef\n"
    "Description: a tool\n"
    " for this: and that\n"
    " .\n"
    " Depends: on the weather\n";

TEST(PackageIndexTest, AWholeStanza) {
  const IndexText index = {"test", kWhole};
  const auto records = ParseIndex(index);
  ASSERT_EQ(records.size(), 1u);
  const PackageRecord& record = records[0];
  EXPECT_EQ(record.name, "tool");
  EXPECT_EQ(record.version, "1:2.0-3");
  EXPECT_EQ(record.architecture, "amd64");
  EXPECT_EQ(record.section, "non-free/utils");
  EXPECT_EQ(record.summary, "a tool");
  EXPECT_EQ(record.installed_size_kib, 1234u);
  std::string relations;
  for (const Relation& relation : record.relations) {
    relations += std::to_string(relation.clause) + " " + EdgeKindName(relation.kind) + " " +
                 std::string(relation.name) + "; ";
  }
  EXPECT_EQ(relations,
            "0 Provides thing; 1 Provides stuff; 2 Pre-Depends dpkg; 3 Depends libc6; "
            "4 Depends-Alternative awk; 4 Depends-Alternative perl; ");
}

TEST(PackageIndexTest, WhatIsNotInstalledIsLeftOut) {
  const IndexText index = {"test",
                           "Package: a\nStatus: purge ok not-installed\n\n"
                           "Package: b\nStatus: deinstall ok config-files\nVersion: 1\n\n"
                           "Package: c\nStatus: hold ok half-configured\nVersion: 1\n"
                           "Architecture: all\n"};
  const auto records = ParseIndex(index);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].name, "c");
  EXPECT_EQ(records[0].installed_size_kib, 0u);
}

TEST(PackageIndexTest, WhatIsMissingIsNamed) {
  ExpectError("\n\nVersion: 1\n", "line 3: the stanza that begins here has no Package");
  ExpectError("Architecture: all\nPackage: a\n",
              "line 1: the stanza of package \"a\" that begins here has no Version");
  ExpectError("Package: a\nVersion: 1\n", "has no Architecture");
  ExpectError("Package: a\nVersion:\nArchitecture: all\n", "has no Version");
  ExpectError("", "has no package in it");
  ExpectError("Package: a\nStatus: purge ok not-installed\n", "has no package in it");
}

TEST(PackageIndexTest, MalformedValuesAreNamed) {
  const std::string head = "Package: a\nVersion: 1\nArchitecture: all\n";
  ExpectError("Package: a b\n", "line 1: \"a b\" cannot be a package's name");
  ExpectError("Package: a\nVersion: 1 2\n", "line 2: \"1 2\" cannot be a version");
  ExpectError("Package: a\nVersion: 1\nArchitecture: x y\n", "line 3: \"x y\" cannot be an arch");
  ExpectError(head + "Installed-Size: big\n", "line 4: Installed-Size must be");
  ExpectError(head + "Installed-Size: -1\n", "line 4: Installed-Size must be");
  ExpectError(head + "Installed-Size: 99999999999999999999\n", "line 4: Installed-Size must be");
  ExpectError(head + "Depends:\n a,\n b c\n", "line 6: expected ',' or '|'");
  ExpectError(head + "Provides: a | b\n", "line 4: Provides has no alternatives");
}

TEST(PackageIndexTest, FilesThatCannotBeRead) {
  EXPECT_THROW(ReadIndexText("/nonexistent/index"), Failure);
  EXPECT_THROW(ReadIndexText("/"), Failure);
}

}  // namespace
}  // namespace pkggraph
