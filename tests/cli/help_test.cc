// What the tool says of itself: every page of help, and its version.
#include <gtest/gtest.h>

#include <sstream>

#include "morsel/morsel.h"
#include "tests/cli/tool_testing.h"

namespace morsel::cli {
namespace {

class HelpTest : public ToolTest {
 protected:
  // The commands that the tool lists.
  std::vector<std::string> Commands() const {
    std::istringstream lines(Run({"--help"}).out);
    std::vector<std::string> commands;
    bool in_list = false;
    for (std::string line; std::getline(lines, line);) {
      if (in_list && line.empty()) break;
      if (in_list && line.rfind("   ", 0) != 0) {
        commands.push_back(line.substr(2, line.find_first_of(" ,", 2) - 2));
      }
      in_list = in_list || line == "Subcommands:";
    }
    return commands;
  }
  static void ExpectFits(const std::string& page) {
    std::istringstream lines(page);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  }
};

TEST_F(HelpTest, EveryPageFitsInto80Columns) {
  const Ran all = Run({"--help"});
  EXPECT_EQ(all.exit_code, 0);
  ExpectFits(all.out);
  const std::vector<std::string> commands = Commands();
  EXPECT_GE(commands.size(), 12u);
  for (const std::string& command : commands) {
    const Ran help = Run({command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_NE(help.out.find("Usage: morselctl " + command), std::string::npos) << help.out;
    EXPECT_NE(help.out.find("Exit codes: see morselctl --help."), std::string::npos) << help.out;
    ExpectFits(help.out);
    EXPECT_EQ(Run({"help", command}).out, help.out);
  }
  EXPECT_EQ(Run({"help"}).out, all.out);
}

TEST_F(HelpTest, WhatIsNoCommandIsNamed) {
  Fails({"help", "frobnicate"}, 2, {"no command 'frobnicate'", "morselctl help --help"});
  Fails({"frobnicate", "create"}, 2, {"no command 'frobnicate'", "morselctl --help"});
}

TEST_F(HelpTest, TheVersionIsTheLibrarys) {
  EXPECT_EQ(Run({"--version"}).out, std::string("morselctl ") + morsel_version() + "\n");
}

}  // namespace
}  // namespace morsel::cli
