// Names that others have given to morsels' files: told so that a terminal is left alone, each in
// another way, and understood as they are told.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "morsel/morsel.h"
#include "tests/cli/tool_testing.h"

namespace morsel::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class NamesTest : public ToolTest {
 protected:
  void SetUp() override {
    ToolTest::SetUp();
    Succeeds({"create", pool_});
    for (const std::string& name : names_) {
      Succeeds({"create", pool_, "new", "--size", "2M", "--capacity", "2M"});
      fs::rename(pool_ + "/new", pool_ + "/" + name);
    }
  }
  static void IsHarmless(const std::string& text) {
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      EXPECT_TRUE(c == '\n' || (byte >= 0x20 && byte != 0x7f && byte != 0x9b && byte < 0xf8))
          << int{byte} << " in " << text;
    }
  }

  const std::vector<std::string> names_ = {"a\nb", "\x1b[2J",
                                           "\xc2\x9b"
                                           "31m",
                                           "x\xff", "x\xfe",
                                           // As the one before the last is listed, and as that is.
                                           "x\\xff", "x\\x5cxff", "y\\x41", "yA",
                                           "gr\xc3\xb6\xc3\x9f"
                                           "e",
                                           "\xe2\x80\xae"
                                           "abc",
                                           "back\\slash"};
};

TEST_F(NamesTest, EachIsListedInItsOwnSpelling) {
  const Ran table = Run({"ls", pool_});
  EXPECT_EQ(table.exit_code, 0);
  IsHarmless(table.out);
  for (const char* const spelling :
       {"a\\x0ab ", "\\x1b[2J ", "\\xc2\\x9b31m ", "x\\xff ", "x\\xfe ", "x\\x5cxff ",
        "x\\x5cx5cxff ", "y\\x5cx41 ", "yA ", "größe ", "\\xe2\\x80\\xaeabc ", "back\\slash "}) {
    EXPECT_NE(("\n" + table.out).find("\n" + std::string(spelling)), std::string::npos) << spelling;
  }
  std::set<std::string> spellings;
  const json listed = RunJson({"ls", pool_});
  for (const json& morsel : listed["morsels"]) spellings.insert(morsel["name"]);
  EXPECT_EQ(spellings.size(), names_.size());
}

TEST_F(NamesTest, EachIsUnderstoodAsItIsListed) {
  const json listed = RunJson({"ls", pool_});
  for (const json& morsel : listed["morsels"]) {
    const std::string name = morsel["name"];
    EXPECT_EQ(RunJson({"info", pool_, name})["id"], morsel["id"]) << name;
    IsHarmless(Run({"info", pool_, name}).out);
    EXPECT_EQ(RunJson({"roots", pool_, name})["roots"], json::array());
    Succeeds({"check", pool_, name});
    Succeeds({"export", pool_, name, scratch_.At("image")});
    EXPECT_EQ(RunJson({"verify", scratch_.At("image")})["morsel"]["id"], morsel["id"]);
    fs::remove(scratch_.At("image"));
    EXPECT_EQ(RunJson({"rm", pool_, name, "--yes"})["removed"], json({name}));
  }
  EXPECT_EQ(RunJson({"ls", pool_})["morsels"], json::array());
}

TEST_F(NamesTest, EachGetsAProperName) {
  const json listed = RunJson({"ls", pool_});
  std::set<std::string> proper;
  for (const json& morsel : listed["morsels"]) {
    const std::string name = morsel["name"];
    const std::string to = "proper " + std::to_string(proper.size());
    EXPECT_EQ(RunJson({"rename", pool_, name, to})["before"], name);
    EXPECT_EQ(RunJson({"info", pool_, to})["id"], morsel["id"]) << name;
    proper.insert(to);
  }
  std::set<std::string> now;
  const json renamed = RunJson({"ls", pool_});
  for (const json& morsel : renamed["morsels"]) now.insert(morsel["name"]);
  EXPECT_EQ(now, proper);
  Fails({"rename", pool_, "proper 0", "c\nd"}, 2, {"cannot name a morsel"});
}

TEST_F(NamesTest, NoNewMorselGetsSuchAName) {
  for (const std::string& name :
       {std::string("c\nd"), std::string("\x1b"), std::string(255, 'n')}) {
    Fails({"create", pool_, name}, 2, {"cannot name a morsel"});
    Fails({"info", pool_, name}, 2, {"cannot name a morsel"});
    IsHarmless(Run({"rm", pool_, name, "--yes"}).error);
  }
}

TEST_F(NamesTest, OneThatIsTooLongIsToldRenamedAndRemoved) {
  const std::string name(255, 'n');
  fs::rename(pool_ + "/yA", pool_ + "/" + name);
  const Ran ls = Run({"ls", pool_});
  EXPECT_EQ(ls.exit_code, 1);
  EXPECT_NE(ls.error.find(name + "' is not listed"), std::string::npos) << ls.error;
  EXPECT_NE(ls.error.find("morselctl rename"), std::string::npos) << ls.error;
  const Ran check = Run({"check", pool_});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_NE(check.out.find("morselctl rename"), std::string::npos) << check.out;
  Fails({"info", pool_, name}, 2, {"morselctl rename"});
  Succeeds({"rename", pool_, name, "short enough"});
  EXPECT_EQ(RunJson({"info", pool_, "short enough"})["name"], "short enough");
  fs::rename(pool_ + "/short enough", pool_ + "/" + name);
  Succeeds({"rm", pool_, name, "--yes"});
  EXPECT_FALSE(fs::exists(pool_ + "/" + name));
}

TEST_F(NamesTest, RootsAreListedEachInItsOwnSpelling) {
  const std::vector<std::string> names = {"\n", "\\x0a", "\xff", "\\xff", "plain"};
  morsel_pool_t* pool = nullptr;
  morsel_t* morsel = nullptr;
  ASSERT_EQ(morsel_pool_open(pool_.c_str(), nullptr, &pool), MORSEL_OK) << morsel_last_error();
  ASSERT_EQ(morsel_open(pool, "yA", nullptr, &morsel), MORSEL_OK) << morsel_last_error();
  for (const std::string& name : names) {
    ASSERT_EQ(morsel_set_root(morsel, name.c_str(), morsel_malloc(morsel, 16)), MORSEL_OK);
  }
  ASSERT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
  ASSERT_EQ(morsel_pool_close(pool), MORSEL_OK) << morsel_last_error();
  std::set<std::string> spellings;
  const json listed = RunJson({"roots", pool_, "yA"});
  for (const json& root : listed["roots"]) spellings.insert(root["name"]);
  EXPECT_EQ(spellings, (std::set<std::string>{"\\x0a", "\\x5cx0a", "\\xff", "\\x5cxff", "plain"}));
  const std::string table = "\n" + Run({"roots", pool_, "yA"}).out;
  for (const std::string& spelling : spellings) {
    EXPECT_NE(table.find("\n" + spelling + " "), std::string::npos) << spelling << table;
  }
}

}  // namespace
}  // namespace morsel::cli
