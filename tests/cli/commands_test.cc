// Each command does what it should, and its JSON says the same.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "image/codecs/codecs.h"
#include "morsel/morsel.hpp"
#include "tests/cli/tool_testing.h"

namespace morsel::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class CommandsTest : public ToolTest {
 protected:
  // Returns the names that `ls` prints, in its order.
  std::vector<std::string> Listed(const std::string& pool) const {
    std::vector<std::string> names;
    const json all = RunJson({"ls", pool});
    for (const json& morsel : all.at("morsels")) names.push_back(morsel["name"]);
    return names;
  }
};

// A program has left a pointer to itself in one morsel, and one to what it freed in another.
TEST_F(CommandsTest, CheckPointersListsWordsThatLeadOut) {
  Succeeds({"create", pool_});
  const auto store = [this](const char* name, auto make_word) {
    morsel::Pool pool = *morsel::Pool::open(pool_);
    morsel::Morsel m = *morsel::Morsel::open(pool, name, {.flags = MORSEL_CREATE});
    auto** const words = static_cast<void**>(m.calloc(5, sizeof(void*)));
    words[3] = make_word(m);
    ASSERT_TRUE(m.close().ok()) << morsel::last_error();
    ASSERT_TRUE(pool.close().ok()) << morsel::last_error();
  };
  store("good", [](morsel::Morsel& m) { return m.malloc(100); });
  store("freed", [](morsel::Morsel& m) {
    void* const block = m.malloc(3000);
    m.free(block);
    return block;
  });
  EXPECT_EQ(RunJson({"check", pool_}).contains("pointers_out"), false);
  const json sound = RunJson({"check", "--pointers", pool_});
  EXPECT_EQ(sound["pointers_out"], 0);
  EXPECT_EQ(sound["looked_into_blocks"], true);
  EXPECT_EQ(sound["clean"], true);
  ASSERT_EQ(sound["findings"].size(), 1u);
  EXPECT_EQ(sound["findings"][0]["subject"], "morsel 'freed'");

  // Where programs have their stacks.
  store("bad", [](morsel::Morsel&) { return reinterpret_cast<void*>(0x7fff'ffff'e008); });
  const Ran all = Run({"check", "--pointers", pool_, "--json"});
  EXPECT_EQ(all.exit_code, 1) << all.error;
  const json found = json::parse(all.out);
  EXPECT_EQ(found["pointers_out"], 1);
  EXPECT_EQ(found["clean"], false);
  ASSERT_EQ(found["findings"].size(), 2u);
  EXPECT_EQ(found["findings"][0]["subject"], "morsel 'bad'");
  const std::string sentence = found["findings"][0]["sentence"];
  EXPECT_NE(sentence.find("has at offset 24 0x7fffffffe008, which leads to"), std::string::npos)
      << sentence;
  EXPECT_EQ(RunJson({"check", "--pointers", pool_, "good"})["pointers_out"], 0);
  EXPECT_EQ(Run({"check", pool_}).exit_code, 0);
  const Ran text = Run({"check", "--pointers", pool_, "bad"});
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_NE(text.out.find("\n1 word may lead out of a morsel, and nothing is damaged: 1 morsel"),
            std::string::npos)
      << text.out;
  EXPECT_EQ(text.out.find("clean"), std::string::npos) << text.out;
}

// A program has forgotten what it had made.
TEST_F(CommandsTest, CheckLeaksListsWhatNoRootLeadsTo) {
  Succeeds({"create", pool_});
  const auto make = [this](const char* name, int leaks) {
    morsel::Pool pool = *morsel::Pool::open(pool_);
    morsel::Morsel m = *morsel::Morsel::open(pool, name, {.flags = MORSEL_CREATE});
    ASSERT_TRUE(m.set_root("kept", m.malloc(100)).ok());
    for (int i = 0; i < leaks; ++i) *static_cast<void**>(m.malloc(48)) = m.calloc(1, 200);
    ASSERT_TRUE(m.close().ok()) << morsel::last_error();
    ASSERT_TRUE(pool.close().ok()) << morsel::last_error();
  };
  make("good", 0);
  EXPECT_EQ(RunJson({"check", pool_}).contains("unreached"), false);
  const json good = RunJson({"check", "--leaks", "--pointers", pool_});
  EXPECT_EQ(good["clean"], true);
  EXPECT_EQ(good["unreached"], json({{"blocks", 0}, {"bytes", 0}}));
  EXPECT_EQ(good["pointers_out"], 0);

  make("bad", 30);
  const Ran all = Run({"check", "--leaks", pool_, "--json"});
  EXPECT_EQ(all.exit_code, 1) << all.error;
  const json found = json::parse(all.out);
  EXPECT_EQ(found["clean"], false);
  EXPECT_EQ(found["unreached"]["blocks"], 60);
  ASSERT_EQ(found["findings"].size(), 21u);
  EXPECT_EQ(found["findings"][0]["subject"], "morsel 'bad'");
  const std::string sentence = found["findings"][0]["sentence"];
  EXPECT_EQ(sentence.find("no root leads to the block of 64 bytes at 0x"), 0u) << sentence;
  EXPECT_NE(sentence.find(", which leads to 1 other, "), std::string::npos) << sentence;
  EXPECT_EQ(Run({"check", "--leaks", pool_, "good"}).exit_code, 0);
  const Ran text = Run({"check", "--leaks", pool_});
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_NE(text.out.find("of 30 such blocks"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("\nno root leads to 60 blocks, "), std::string::npos) << text.out;
}

TEST_F(CommandsTest, ADirectoryPoolFromBeginningToEnd) {
  const json made = RunJson({"create", pool_, "--mode", "0750"});
  EXPECT_EQ(made, json({{"pool", pool_}, {"kind", "directory"}}));
  struct stat status;
  ASSERT_EQ(stat(pool_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0750u);

  const json graph =
      RunJson({"create", pool_, "graph", "--size", "4M", "--capacity", "0.5G", "--mode", "0640"});
  EXPECT_EQ(graph["name"], "graph");
  EXPECT_EQ(graph["contract"], "snapshot");
  EXPECT_EQ(graph["size_bytes"], 4 << 20);
  EXPECT_EQ(graph["capacity_bytes"], 512 << 20);
  EXPECT_EQ(graph["mode"], "0640");
  EXPECT_EQ(graph["grows"], false);
  EXPECT_EQ(RunJson({"info", pool_, "graph"}), graph);
  Succeeds({"create", pool_, "another one"});
  EXPECT_EQ(Listed(pool_), (std::vector<std::string>{"another one", "graph"}));
  EXPECT_EQ(RunJson({"ls", pool_})["morsels"][1], graph);

  EXPECT_EQ(RunJson({"resize", pool_, "graph", "7M"})["size_bytes"], 8 << 20);
  EXPECT_EQ(RunJson({"info", pool_, "graph"})["size_bytes"], 8 << 20);
  EXPECT_EQ(RunJson({"info", pool_, "graph"})["id"], graph["id"]);
  EXPECT_EQ(RunJson({"resize", pool_, "graph", "2M"})["size_bytes"], 2 << 20);

  const json checked = RunJson({"check", pool_});
  EXPECT_EQ(checked["clean"], true);
  EXPECT_EQ(checked["checked"]["morsels"], 2);
  EXPECT_EQ(checked["findings"], json::array());
  EXPECT_EQ(RunJson({"check", pool_, "graph"})["checked"]["morsels"], 1);

  EXPECT_EQ(RunJson({"rm", pool_, "graph", "another one", "--yes"})["removed"],
            json({"graph", "another one"}));
  EXPECT_EQ(Listed(pool_), std::vector<std::string>{});
  EXPECT_FALSE(fs::exists(pool_ + "/graph"));
}

TEST_F(CommandsTest, AMorselKeepsTheCodecItWasCreatedWith) {
  Succeeds({"create", pool_});
  EXPECT_EQ(RunJson({"create", pool_, "plain"})["codec"], "none");
  for (const image::CodecRow& row : image::AllCodecs()) {
    if (row.id == image::Codec::kNone) continue;
    const std::string codec = row.name;
    EXPECT_EQ(RunJson({"create", pool_, codec, "--size", "64M", "--codec=" + codec})["codec"],
              codec);
    EXPECT_EQ(RunJson({"resize", pool_, codec, "80M"})["codec"], codec);
    EXPECT_EQ(RunJson({"info", pool_, codec})["codec"], codec);
    EXPECT_NE(Run({"info", pool_, codec}).out.find("codec:"), std::string::npos);
    // The image of an empty heap ends soon after its second superblock, which is at 1 MiB, because
    // the heap is little more than zeros.
    EXPECT_LT(fs::file_size(pool_ + "/" + codec), (1 << 20) + (1 << 16));
  }
  EXPECT_GT(fs::file_size(pool_ + "/plain"), 2 << 20);
  EXPECT_EQ(RunJson({"check", pool_})["clean"], true);
  Fails({"create", pool_, "a", "--codec=gzip"}, 2, {"gzip", "lz4"});
  Fails({"create", pool_ + "2", "--codec=lz4"}, 2, {"NAME"});
}

TEST_F(CommandsTest, ACarvedPoolFromBeginningToEnd) {
  const json made = RunJson({"create", carved_, "--carved", "--size", "32M"});
  EXPECT_EQ(made, json({{"pool", carved_}, {"kind", "carved"}}));
  const json info = RunJson({"info", carved_});
  EXPECT_EQ(info["kind"], "carved");
  EXPECT_EQ(info["morsels"], 0);
  EXPECT_EQ(info["free_bytes"], info["size_bytes"]);
  EXPECT_EQ(info["granularity_bytes"], 64);
  EXPECT_EQ(info["granularity"], "cache line (64 bytes), forced by PMEM2_FORCE_GRANULARITY");

  const json queue = RunJson({"create", carved_, "queue", "--fine", "--size", "4M"});
  EXPECT_EQ(queue["contract"], "fine");
  EXPECT_EQ(queue["capacity_bytes"], uint64_t{16} << 30);
  nlohmann::json described = RunJson({"info", carved_, "queue"});
  EXPECT_LE(described["mapped_huge_subtrees"], 2);
  described.erase("mapped_huge_subtrees");
  EXPECT_EQ(described, queue);
  EXPECT_EQ(RunJson({"resize", carved_, "queue", "10M"})["size_bytes"], 10 << 20);
  EXPECT_EQ(RunJson({"info", carved_})["free_bytes"],
            info["size_bytes"].get<uint64_t>() - (10 << 20));
  EXPECT_EQ(RunJson({"check", carved_})["clean"], true);
  EXPECT_EQ(RunJson({"check", carved_, "queue"})["checked"]["morsels"], 1);
  EXPECT_EQ(RunJson({"rename", carved_, "queue", "q"}),
            json({{"pool", carved_}, {"name", "q"}, {"before", "queue"}}));
  Fails({"rename", carved_, "queue", "r"}, 13, {"'queue'"});
  EXPECT_EQ(Run({"rename", carved_, "q", "queue"}).out, "morsel 'q' is 'queue' now\n");
  Succeeds({"rm", carved_, "queue", "-y"});
  EXPECT_EQ(Listed(carved_), std::vector<std::string>{});
  EXPECT_EQ(RunJson({"info", carved_})["free_bytes"], info["size_bytes"]);
}

TEST_F(CommandsTest, CreateAndInfoSayThatAPoolInMemoryIsLostAtPowerOff) {
  EXPECT_NE(Run({"create", pool_}).out.find("note: the last checkpoint"), std::string::npos);
  EXPECT_NE(Run({"create", carved_, "--carved", "--size", "8M"}).out.find("lost at power-off"),
            std::string::npos);
  // The note comes once, with the pool, and not with each morsel.
  EXPECT_EQ(Run({"create", pool_, "a"}).out.find("power-off"), std::string::npos);
  for (const std::string& path : {pool_, carved_}) {
    const json info = RunJson({"info", path});
    EXPECT_EQ(info["file_system"], "tmpfs");
    EXPECT_EQ(info["medium"], "memory");
    EXPECT_EQ(info["survives_power_off"], false);
    EXPECT_NE(Run({"info", path}).out.find("lost at power-off"), std::string::npos);
  }
  EXPECT_EQ(RunJson({"info", pool_})["granularity_bytes"], 4096);
  setenv("MORSEL_FRAMES", "shmem", 1);
  setenv("MORSEL_DIRTY", "compare", 1);
  EXPECT_EQ(RunJson({"info", pool_})["frames"], "shmem");
  EXPECT_EQ(RunJson({"info", pool_})["dirty"], "compare");
  EXPECT_NE(Run({"info", pool_}).out.find("shmem"), std::string::npos);
  unsetenv("MORSEL_FRAMES");
  unsetenv("MORSEL_DIRTY");
}

TEST_F(CommandsTest, WithoutJsonTablesAndFactsArePrinted) {
  Succeeds({"create", pool_});
  const Ran empty = Run({"ls", pool_});
  EXPECT_EQ(empty.exit_code, 0);
  EXPECT_EQ(empty.error, "morselctl: pool '" + pool_ + "' has no morsels\n");
  Succeeds({"create", pool_, "b", "--size", "2M", "--capacity", "8M"});
  Succeeds({"create", pool_, "a"});
  const std::string table = Run({"ls", pool_}).out;
  EXPECT_EQ(table.rfind("NAME  CONTRACT", 0), 0u) << table;
  EXPECT_LT(table.find("\na  "), table.find("\nb  ")) << table;
  EXPECT_NE(table.find("  16 GiB  "), std::string::npos) << table;
  EXPECT_NE(table.find("  rw-------  "), std::string::npos) << table;
  const std::string info = Run({"info", pool_, "b"}).out;
  EXPECT_NE(info.find("capacity:     8 MiB (8388608 bytes)\n"), std::string::npos) << info;
  EXPECT_NE(Run({"check", pool_}).out.find("clean: 2 morsels"), std::string::npos);
}

TEST_F(CommandsTest, RootsListsThemByName) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  const Ran none = Run({"roots", pool_, "a"});
  EXPECT_EQ(none.exit_code, 0);
  EXPECT_EQ(none.error, "morselctl: morsel 'a' has no roots\n");
  std::string addresses[2];
  {
    auto pool = morsel::Pool::open(pool_);
    ASSERT_TRUE(pool) << morsel::last_error();
    auto m = morsel::Morsel::open(*pool, "a");
    ASSERT_TRUE(m) << morsel::last_error();
    for (int i = 0; i < 2; ++i) {
      void* const object = m->malloc(10);
      EXPECT_TRUE(m->set_root(i == 0 ? "second" : "first\n", object).ok());
      std::ostringstream text;
      text << object;
      addresses[i] = text.str();
    }
  }
  const json roots = RunJson({"roots", pool_, "a"});
  EXPECT_EQ(roots["name"], "a");
  EXPECT_EQ(roots["roots"], json::array({{{"name", "first\\x0a"}, {"address", addresses[1]}},
                                         {{"name", "second"}, {"address", addresses[0]}}}));
  const std::string table = Run({"roots", pool_, "a"}).out;
  EXPECT_NE(table.find("first\\x0a  " + addresses[1]), std::string::npos) << table;
  {
    auto pool = morsel::Pool::open(pool_);
    auto m = morsel::Morsel::open(*pool, "a");
    ASSERT_TRUE(m) << morsel::last_error();
    EXPECT_TRUE(m->set_root("typed", m->make<uint64_t>()).ok());
  }
  const json typed = RunJson({"roots", pool_, "a"})["roots"][2];
  EXPECT_EQ(typed["type"], "unsigned long");
  EXPECT_EQ(typed["size"], 8);
  EXPECT_EQ(typed["alignment"], 8);
  EXPECT_EQ(typed["layout"], 0);
  EXPECT_NE(Run({"roots", pool_, "a"}).out.find("unsigned long\n"), std::string::npos);
  Fails({"roots", pool_, "b"}, 13, {"'b'"});
  Fails({"roots", pool_}, 2, {"NAME"});
}

TEST_F(CommandsTest, HelpNamesTheCommandsOfPools) {
  const Ran all = Run({"--help"});
  EXPECT_EQ(all.exit_code, 0);
  EXPECT_NE(all.out.find("Exit codes:"), std::string::npos);
  for (const std::string command : {"create", "ls", "info", "check", "rm", "rename", "resize"}) {
    const size_t at = all.out.find("\n  " + command);
    ASSERT_NE(at, std::string::npos) << command;
    // Some have another name, too.
    const char after = all.out[at + 3 + command.size()];
    EXPECT_TRUE(after == ' ' || after == ',') << command;
    const Ran help = Run({command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_EQ(help.error, "");
    EXPECT_NE(help.out.find("--json"), std::string::npos) << help.out;
    EXPECT_NE(help.out.find("POOL"), std::string::npos) << help.out;
  }
  EXPECT_EQ(Run({"--version"}).out.rfind("morselctl ", 0), 0u);
}

// Formatting a real device is tested where there is one: ./dev vm.
TEST_F(CommandsTest, FormatRefusesOtherPathsAndNeedsTheDevicesNameToDestroy) {
  Fails({"format", "/dev/null"}, 2, {"a character device other than device-dax"});
  Fails({"format", folder_}, 2, {"`morselctl create`"});
  Fails({"format", "/dev/dax9.9"}, 13, {"/dev/dax9.9"});
  Fails({"format", "/dev/dax9.9", "--force"}, 2, {"--yes-destroy dax9.9"});
  Fails({"format", "/dev/dax9.9", "--force", "--yes-destroy", "dax9.8"}, 2,
        {"'dax9.8' is not the name"});
  Fails({"format", "/dev/dax9.9", "--yes-destroy", "dax9.9"}, 2, {"without --force"});
  const Ran wrong = Run({"format", "/dev/dax9.9", "--force"}, "dax9.8\n");
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_NE(wrong.error.find("nothing was done"), std::string::npos) << wrong.error;
}

TEST_F(CommandsTest, RmAsksOnATerminalAndElseNeedsYes) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  Succeeds({"create", pool_, "b"});
  Fails({"rm", pool_, "a"}, 2, {"no terminal", "--yes"});
  const Ran no = Run({"rm", pool_, "a"}, "n\n");
  EXPECT_EQ(no.exit_code, 0);
  EXPECT_NE(no.error.find("remove morsel 'a' of pool '" + pool_ + "'"), std::string::npos);
  EXPECT_EQ(Listed(pool_), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(Run({"rm", pool_, "a", "b"}, "n\ny\n").exit_code, 0);
  EXPECT_EQ(Listed(pool_), std::vector<std::string>{"a"});
}

TEST_F(CommandsTest, RmTakesANameThatIsSaidTwiceForOne) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  EXPECT_EQ(RunJson({"rm", pool_, "a", "a", "--yes"})["removed"], json({"a"}));
}

TEST_F(CommandsTest, RmLooksUpAllNamesBeforeItRemovesOne) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  Fails({"rm", pool_, "a", "nothing", "--yes"}, 13, {"'nothing'"});
  EXPECT_EQ(Listed(pool_), std::vector<std::string>{"a"});
}

TEST_F(CommandsTest, WhatIsPrintedWithoutStandardDescriptorsGoesNowhere) {
  Succeeds({"create", pool_});
  Succeeds({"create", pool_, "a"});
  Succeeds({"create", carved_, "--carved", "--size", "8M"});
  const std::string pool = " '" + pool_ + "' ";
  const std::string carved = " '" + carved_ + "' ";
  for (const std::string& arguments : std::vector<std::string>{
           "create" + pool + "b", "ls" + pool, "info" + pool + "a", "rm x y", "rm" + pool + "b -y",
           "create" + carved + "b --fine", "ls" + carved, "resize" + carved + "b 4M"}) {
    (void)!std::system(("cli/morselctl " + arguments + " <&- >&- 2>&-").c_str());
    EXPECT_EQ(Run({"check", pool_}).exit_code, 0) << arguments;
    EXPECT_EQ(Run({"check", carved_}).exit_code, 0) << arguments;
  }
}

}  // namespace
}  // namespace morsel::cli
