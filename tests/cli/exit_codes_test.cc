// The message and the exit code of each kind of failure.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "morsel/open/open_pool.h"
#include "os/testing/variable_testing.h"
#include "tests/cli/tool_testing.h"

namespace morsel::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ExitCodesTest : public ToolTest {
 protected:
  // Flips one bit of the last byte of the file that is not zero.
  static void Damage(const std::string& path) {
    std::string bytes(fs::file_size(path), 0);
    std::ifstream(path, std::ios::binary)
        .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    FlipBit(path, bytes.find_last_not_of('\0'));
  }
  static void FlipBit(const std::string& path, uint64_t offset) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset));
    const char flipped = static_cast<char>(file.get() ^ 4);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(flipped);
  }
  json ErrorOf(std::vector<std::string> arguments) const {
    arguments.push_back("--json");
    const Ran ran = Run(arguments);
    EXPECT_NE(ran.exit_code, 0);
    EXPECT_EQ(ran.out, "");
    return json::parse(ran.error).at("error");
  }
};

TEST_F(ExitCodesTest, WrongUsageExitsWith2) {
  Fails({}, 2, {"subcommand", "morselctl --help"});
  Fails({"frobnicate"}, 2, {"frobnicate"});
  Fails({"ls"}, 2, {"POOL", "morselctl ls --help"});
  Fails({"ls", pool_, "--frobnicate"}, 2, {"--frobnicate"});
  Fails({"create", pool_, "--carved"}, 2, {"--size"});
  Fails({"create", pool_, "--size", "4M"}, 2, {"--carved"});
  Fails({"create", pool_, "--fine"}, 2, {"--fine", "NAME"});
  Fails({"create", pool_, "a", "--carved"}, 2, {"--carved"});
  Fails({"create", pool_, "--carved", "--size", "4X"}, 2, {"'4X'", "--size", "1.5G"});
  Fails({"create", pool_, "--mode", "rwx"}, 2, {"'rwx'", "octal"});
  Fails({"create", pool_, "a", "--codec", "gzip"}, 2, {"'gzip'", "none, lz4 and zstd"});
  Fails({"create", pool_, "a", "--size", "4M", "--capacity", "2M"}, 2, {"4 MiB", "2 MiB"});
  EXPECT_FALSE(fs::exists(pool_));
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  Fails({"resize", pool_, "a", "much"}, 2, {"'much'"});
  Fails({"resize", pool_, "a", "0"}, 2, {"'a'"});
  for (const std::string name : {"a/b", "..", ".morsel-pool", "\x1b[2J", ""}) {
    Fails({"create", pool_, name}, 2, {"cannot name a morsel"});
    Fails({"info", pool_, name}, 2, {"cannot name a morsel"});
    Fails({"check", pool_, name}, 2, {"cannot name a morsel"});
    Fails({"rm", pool_, name, "--yes"}, 2, {"cannot name a morsel"});
  }
}

TEST_F(ExitCodesTest, WhatIsDoneAndCannotBeSaidExitsWith3) {
  const std::string image = scratch_.At("image");
  const std::vector<std::vector<std::string>> changes = {
      {"create", pool_},
      {"create", pool_, "a"},
      {"rename", pool_, "a", "b"},
      {"resize", pool_, "b", "8M"},
      {"rebase", pool_, "b"},
      {"copy", pool_, "b", "c"},
      {"export", pool_, "b", image},
      {"rm", pool_, "b", "--yes"},
      {"import", pool_, image, "--as", "d"},
  };
  for (const std::vector<std::string>& change : changes) {
    SCOPED_TRACE(testing::PrintToString(change));
    const Ran ran = RunInto("/dev/full", change);
    EXPECT_EQ(ran.exit_code, 3) << ran.error;
    EXPECT_NE(ran.error.find("it is done"), std::string::npos) << ran.error;
    EXPECT_EQ(ran.error.find("try again"), std::string::npos) << ran.error;
  }
  EXPECT_EQ(Run({"ls", pool_}).out.find("\nb "), std::string::npos);
  Succeeds({"info", pool_, "c"});
  Succeeds({"info", pool_, "d"});
  // What changes nothing can be tried again.
  for (const std::vector<std::string>& look : std::vector<std::vector<std::string>>{
           {"ls", pool_}, {"rebase", pool_, "c", "--dry-run"}, {"--version"}, {"--help"}}) {
    SCOPED_TRACE(testing::PrintToString(look));
    const Ran ran = RunInto("/dev/full", look);
    EXPECT_EQ(ran.exit_code, 11) << ran.error;
    EXPECT_NE(ran.error.find("try again"), std::string::npos) << ran.error;
  }
  const Ran ran = RunInto("/dev/full", {"rm", pool_, "d", "--yes", "--json"});
  EXPECT_EQ(ran.exit_code, 3);
  EXPECT_EQ(json::parse(ran.error).at("error").at("done"), true) << ran.error;
}

// A word of the environment that nobody knows.
TEST_F(ExitCodesTest, AWrongWordOfTheEnvironmentIsToldBeforeAnythingIsMade) {
  Succeeds({"create", pool_});
  Succeeds({"create", carved_, "--carved", "--size", "64M"});
  for (const char* const variable :
       {"MORSEL_GUARD", "MORSEL_IO", "MORSEL_FRAMES", "MORSEL_DIRTY", "MORSEL_LOG"}) {
    SCOPED_TRACE(variable);
    const os::Variable wrong(variable, "frobnicate");
    const bool is_everywhere = std::string(variable) == "MORSEL_GUARD";
    Fails({"create", pool_, "a"}, 2, {variable, "frobnicate"});
    if (is_everywhere) Fails({"create", carved_, "a", "--fine"}, 2, {variable, "frobnicate"});
    EXPECT_EQ(RunJson({"ls", pool_})["morsels"], json::array());
    EXPECT_EQ(RunJson({"ls", carved_})["morsels"], json::array());
  }
  const os::Variable wrong("MORSEL_WINDOW", "frobnicate");
  Fails({"create", scratch_.At("other")}, 2, {"MORSEL_WINDOW", "frobnicate"});
  Fails({"create", scratch_.At("other"), "--carved", "--size", "64M"}, 2, {"MORSEL_WINDOW"});
  EXPECT_FALSE(fs::exists(scratch_.At("other")));
}

TEST_F(ExitCodesTest, EachKindOfFailureHasItsCode) {
  Fails({"ls", pool_}, 13, {"no pool '" + pool_ + "'; check the path"});
  Fails({"rm", pool_, "a", "--yes"}, 13, {"no pool '" + pool_ + "'; check the path"});
  Fails({"create", pool_, "a"}, 13,
        {"no pool '" + pool_ + "'", "morselctl create " + pool_, "then make the morsel"});
  fs::create_directory(pool_);
  Fails({"ls", pool_}, 13, {"'" + pool_ + "' is not a pool; check the path"});
  Fails({"create", pool_, "a"}, 13, {"'" + pool_ + "' is not a pool", "morselctl create"});
  // What has other things in it is nobody's pool by accident.
  Fails({"create", "/", "a"}, 13, {"'/' is not a pool; check the path"});
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a", "--capacity", "8M"});
  Fails({"create", pool_}, 14, {pool_, "already", "another path"});
  Fails({"create", pool_, "a"}, 14, {"'a'", "already"});
  Fails({"info", pool_, "b"}, 13, {"'b'", pool_, "check the name"});
  Fails({"check", pool_, "b"}, 13, {"'b'", pool_});
  setenv("PMEM2_FORCE_GRANULARITY", "PAGE", 1);
  Fails({"create", pool_, "b", "--fine"}, 21, {pool_, "MAP_SYNC"});
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  Fails({"create", pool_, "b", "--giant"}, 21, {pool_, "directory"});
  Fails({"create", pool_, "b", "--capacity", "1000T"}, 23, {"'b'"});
  Fails({"resize", pool_, "a", "10M"}, 23, {"'a'", "8 MiB"});
  Succeeds({"create", carved_, "--carved", "--size", "8M"});
  Fails({"create", carved_, "--carved", "--size", "8M"}, 14, {carved_});
  Fails({"create", carved_, "a"}, 21, {carved_, "--fine"});
  Fails({"create", carved_, "a", "--fine", "--size", "64M"}, 11, {carved_});
  Fails({"ls", "/dev/null"}, 2, {"/dev/null"});
  setenv("PMEM2_FORCE_GRANULARITY", "PAGE", 1);
  Fails({"ls", carved_}, 21, {carved_, "persistent memory"});
}

// There was no checkpoint before, so the message says nothing about one that still stands.
TEST_F(ExitCodesTest, CreateFailsWithOneMessageAndLeavesNoFile) {
  Succeeds({"create", pool_});
  setenv("MORSEL_IO", "fast", 1);
  const Ran ran = Run({"create", pool_, "a"});
  unsetenv("MORSEL_IO");
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_EQ(ran.error, "morselctl: MORSEL_IO is 'fast'; it must be auto, uring or plain\n");
  EXPECT_FALSE(fs::exists(pool_ + "/a"));
}

TEST_F(ExitCodesTest, WithJsonErrorsAreJson) {
  EXPECT_EQ(ErrorOf({"ls", pool_})["code"], "MORSEL_NOT_FOUND");
  EXPECT_NE(ErrorOf({"ls", pool_})["message"].get<std::string>().find(pool_), std::string::npos);
  EXPECT_EQ(ErrorOf({"ls"})["code"], "MORSEL_INVALID_ARGUMENT");
  EXPECT_EQ(ErrorOf({"rm", pool_, "a"})["code"], "MORSEL_INVALID_ARGUMENT");
}

TEST_F(ExitCodesTest, AllWorkBesideReadersAndWritersAndAMorselHasOneWriter) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  const std::string us = "process " + std::to_string(getpid());
  morsel_pool_options options{};
  options.flags = MORSEL_READ_ONLY;
  auto reader = OpenPool::Open(pool_.c_str(), &options, os::KernelCalls());
  ASSERT_TRUE(reader.has_value()) << LastError();
  Succeeds({"create", pool_, "b"});
  Succeeds({"rm", pool_, "b", "--yes"});
  auto writer = OpenPool::Open(pool_.c_str(), nullptr, os::KernelCalls());
  ASSERT_TRUE(writer.has_value()) << LastError();
  const auto morsel = (*writer)->OpenMorselNamed("a", nullptr);
  ASSERT_TRUE(morsel.has_value()) << LastError();
  for (const char* const command : {"ls", "info", "check"}) Succeeds({command, pool_});
  Succeeds({"create", pool_, "c"});
  Fails({"rm", pool_, "a", "--yes"}, 15, {pool_, "'a'", us});
  Fails({"resize", pool_, "a", "4M"}, 15, {pool_, "'a'", us});
  EXPECT_TRUE((*writer)->Close(*morsel, /*discard=*/false).ok()) << LastError();
  Succeeds({"rm", pool_, "a", "--yes"});
}

TEST_F(ExitCodesTest, ADamagedImageIsFoundAndLeftAsItIs) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  Succeeds({"create", pool_, "b"});
  Damage(pool_ + "/a");
  const auto before = AllBytes(pool_);
  const Ran found = Run({"check", pool_});
  EXPECT_EQ(found.exit_code, 1);
  EXPECT_NE(found.out.find("morsel 'a': "), std::string::npos) << found.out;
  EXPECT_EQ(Run({"check", pool_, "a"}).exit_code, 1);
  EXPECT_EQ(Run({"check", pool_, "b"}).exit_code, 0);
  const Ran as_json = Run({"check", pool_, "--json"});
  EXPECT_EQ(as_json.exit_code, 1);
  const json report = json::parse(as_json.out);
  EXPECT_EQ(report["clean"], false);
  EXPECT_EQ(report["findings"][0]["subject"], "morsel 'a'");
  EXPECT_EQ(report["checked"]["morsels"], 1);
  EXPECT_TRUE(AllBytes(pool_) == before);
}

// One is lost, and the other one serves: each tool says so.
TEST_F(ExitCodesTest, ADamagedNewestSuperblockIsToldByAll) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a", "--size", "2M"});
  Succeeds({"resize", pool_, "a", "4M"});
  const std::string file = pool_ + "/a";
  FlipBit(file, (1 << 20) + 100);
  const auto before = AllBytes(pool_);
  for (const std::vector<std::string>& tool :
       {std::vector<std::string>{"check", pool_}, {"verify", file}, {"salvage", file}}) {
    const Ran ran = Run(tool);
    EXPECT_EQ(ran.exit_code, 1) << tool[0] << ran.out << ran.error;
    EXPECT_NE(ran.out.find("no checkpoint is lost unless"), std::string::npos) << ran.out;
  }
  for (const std::vector<std::string>& tool :
       {std::vector<std::string>{"info", file}, {"info", pool_, "a"}}) {
    const Ran ran = Run(tool);
    EXPECT_EQ(ran.exit_code, 0);
    EXPECT_NE(ran.out.find("no checkpoint is lost unless"), std::string::npos) << ran.out;
  }
  EXPECT_TRUE(AllBytes(pool_) == before);
  Succeeds({"resize", pool_, "a", "4M"});
  Succeeds({"resize", pool_, "a", "6M"});
  Succeeds({"check", pool_});
}

TEST_F(ExitCodesTest, AMorselWithDamagedSuperblocksIsNamedByLsAndCanBeRemoved) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  Succeeds({"create", pool_, "b"});
  for (const int slot : {0, 1 << 20}) FlipBit(pool_ + "/a", static_cast<uint64_t>(slot) + 100);
  const auto before = AllBytes(pool_);
  const Ran ls = Run({"ls", pool_});
  EXPECT_EQ(ls.exit_code, 1);
  EXPECT_NE(ls.error.find("morsel 'a' is damaged"), std::string::npos) << ls.error;
  const json listed = json::parse(Run({"ls", pool_, "--json"}).out);
  EXPECT_EQ(listed["damaged"], json({"a"}));
  EXPECT_EQ(listed["unreadable"][0]["code"], "MORSEL_CORRUPT");
  EXPECT_EQ(listed["morsels"].size(), 1u);
  EXPECT_EQ(Run({"check", pool_}).exit_code, 1);
  EXPECT_EQ(Run({"check", pool_, "a"}).exit_code, 1);
  const json checked = json::parse(Run({"check", "--pointers", "--leaks", pool_, "--json"}).out);
  EXPECT_EQ(checked["looked_into_blocks"], false);
  EXPECT_FALSE(checked.contains("pointers_out") || checked.contains("unreached"));
  const std::string text = Run({"check", "--pointers", pool_}).out;
  EXPECT_NE(text.find("the blocks were not looked at"), std::string::npos) << text;
  EXPECT_EQ(text.find(" may lead out"), std::string::npos) << text;
  Fails({"info", pool_, "a"}, 17, {"'" + pool_ + "/a'"});
  EXPECT_TRUE(AllBytes(pool_) == before);
  Succeeds({"rm", pool_, "a", "--yes"});
  Succeeds({"check", pool_});
}

// What another version wrote is whole as far as this one knows.
TEST_F(ExitCodesTest, AMorselOfAnotherVersionIsNotToldAsDamaged) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  {
    std::fstream file(pool_ + "/a", std::ios::binary | std::ios::in | std::ios::out);
    for (const int superblock : {0, 1 << 20}) {
      file.seekp(superblock + 16);
      file.put(99);
    }
  }
  const Ran ls = Run({"ls", pool_});
  EXPECT_EQ(ls.exit_code, 18);
  EXPECT_NE(ls.error.find("morsel 'a' is not listed: "), std::string::npos) << ls.error;
  EXPECT_NE(ls.error.find("version 99"), std::string::npos) << ls.error;
  const json listed = json::parse(Run({"ls", pool_, "--json"}).out);
  EXPECT_EQ(listed["damaged"], json::array());
  EXPECT_EQ(listed["unreadable"][0]["code"], "MORSEL_VERSION");
  Fails({"info", pool_, "a"}, 18, {"version 99"});
  Fails({"verify", pool_ + "/a"}, 18, {"version 99"});
  const Ran checked = Run({"check", pool_});
  EXPECT_EQ(checked.exit_code, 18);
  EXPECT_NE(checked.out.find("not all could be checked"), std::string::npos) << checked.out;
  EXPECT_EQ(checked.out.find("damaged pool"), std::string::npos) << checked.out;
}

TEST_F(ExitCodesTest, ADamagedCarvedPoolIsFoundAndLeftAsItIs) {
  Succeeds({"create", carved_, "--carved", "--size", "8M"});
  Succeeds({"create", carved_, "a", "--fine"});
  FlipBit(carved_, 4096 + 100);  // superblock B
  auto before = AllBytes(carved_);
  const Ran found = Run({"check", carved_});
  EXPECT_EQ(found.exit_code, 1);
  EXPECT_NE(found.out.find("superblock"), std::string::npos) << found.out;
  EXPECT_TRUE(AllBytes(carved_) == before);
  Succeeds({"ls", carved_});
  FlipBit(carved_, 100);  // superblock A too
  before = AllBytes(carved_);
  Fails({"check", carved_}, 17, {carved_, "superblock"});
  EXPECT_TRUE(AllBytes(carved_) == before);
}

}  // namespace
}  // namespace morsel::cli
