#include "tests/cli/tool_testing.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace morsel::cli {
namespace {

namespace fs = std::filesystem;

// Called in the child: returns the end of a new terminal that a program reads from, with `typed`
// already typed.
int TerminalThatSays(const char* typed) {
  const int ours = posix_openpt(O_RDWR | O_NOCTTY);
  if (ours < 0 || grantpt(ours) != 0 || unlockpt(ours) != 0) return -1;
  const int theirs = open(ptsname(ours), O_RDWR | O_NOCTTY);
  if (theirs < 0 || write(ours, typed, strlen(typed)) < 0) return -1;
  return theirs;
}

[[noreturn]] void Become(const std::vector<std::string>& arguments, const char* typed,
                         const std::string& out, const std::string& error) {
  const int in = typed != nullptr ? TerminalThatSays(typed) : open("/dev/null", O_RDONLY);
  const int to_out = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const int to_error = open(error.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (in < 0 || dup2(in, 0) < 0 || dup2(to_out, 1) < 0 || dup2(to_error, 2) < 0) _exit(126);
  std::vector<char*> argv = {const_cast<char*>("morselctl")};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv("cli/morselctl", argv.data());
  _exit(127);
}

}  // namespace

void ToolTest::SetUp() { setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1); }

Ran ToolTest::Run(const std::vector<std::string>& arguments, const char* typed) const {
  const std::string out = folder_ + ".out";
  Ran ran = RunWith(arguments, typed, out);
  ran.out = os::BytesOf(out);
  fs::remove(out);
  return ran;
}

Ran ToolTest::RunInto(const std::string& out, const std::vector<std::string>& arguments) const {
  return RunWith(arguments, nullptr, out);
}

Ran ToolTest::RunWith(const std::vector<std::string>& arguments, const char* typed,
                      const std::string& out) const {
  const std::string error = folder_ + ".error";
  const pid_t child = fork();
  if (child == 0) Become(arguments, typed, out, error);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  const Ran ran{WIFEXITED(status) ? WEXITSTATUS(status) : -1, "", os::BytesOf(error)};
  fs::remove(error);
  return ran;
}

nlohmann::json ToolTest::RunJson(std::vector<std::string> arguments) const {
  arguments.push_back("--json");
  const Ran ran = Run(arguments);
  EXPECT_EQ(ran.exit_code, 0) << ran.error;
  return nlohmann::json::parse(ran.out);
}

void ToolTest::Fails(const std::vector<std::string>& arguments, int exit_code,
                     const std::vector<std::string>& words) const {
  SCOPED_TRACE(testing::PrintToString(arguments));
  const Ran ran = Run(arguments);
  EXPECT_EQ(ran.exit_code, exit_code) << ran.error;
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.error.rfind("morselctl: ", 0), 0u) << ran.error;
  EXPECT_EQ(std::count(ran.error.begin(), ran.error.end(), '\n'), 1) << ran.error;
  for (const std::string& word : words) {
    EXPECT_NE(ran.error.find(word), std::string::npos) << "no '" << word << "' in " << ran.error;
  }
}

void ToolTest::Succeeds(const std::vector<std::string>& arguments) const {
  SCOPED_TRACE(testing::PrintToString(arguments));
  const Ran ran = Run(arguments);
  EXPECT_EQ(ran.exit_code, 0) << ran.error;
  EXPECT_EQ(ran.error, "");
}

std::map<std::string, std::string> AllBytes(const std::string& path) {
  if (!fs::is_directory(path)) return {{path, os::BytesOf(path)}};
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) all[entry.path()] = os::BytesOf(entry.path());
  }
  return all;
}

}  // namespace morsel::cli
