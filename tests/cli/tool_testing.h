// For tests: runs morselctl as a process, with a folder for its pools.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "os/testing/scratch_testing.h"

namespace morsel::cli {

struct Ran {
  int exit_code = -1;  ///< -1: a signal ended it
  std::string out;
  std::string error;
};

/// Each test has its own folder on /dev/shm, where a file can stand in for persistent memory.
class ToolTest : public testing::Test {
 protected:
  void SetUp() override;

  /// Runs morselctl with `arguments`.
  /// typed  what is typed on a terminal, which is standard input then; with nullptr it is
  /// /dev/null.
  Ran Run(const std::vector<std::string>& arguments, const char* typed = nullptr) const;
  /// Runs it with standard output on the file `out`, which is not read.
  Ran RunInto(const std::string& out, const std::vector<std::string>& arguments) const;
  /// Runs it with --json and expects success. Returns what it printed.
  nlohmann::json RunJson(std::vector<std::string> arguments) const;
  /// Runs it and expects the exit code, nothing on standard output, and one line on standard error
  /// that has each of `words`.
  void Fails(const std::vector<std::string>& arguments, int exit_code,
             const std::vector<std::string>& words) const;
  /// Runs it and expects exit code 0 and nothing on standard error.
  void Succeeds(const std::vector<std::string>& arguments) const;

  // `out` is the file that standard output goes to.
  Ran RunWith(const std::vector<std::string>& arguments, const char* typed,
              const std::string& out) const;

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string folder_ = scratch_.path();
  std::string pool_ = scratch_.At("pool");      ///< a path for a directory pool
  std::string carved_ = scratch_.At("carved");  ///< a path for a carved pool
};

/// Returns the bytes of every file at or below `path`, by its path.
std::map<std::string, std::string> AllBytes(const std::string& path);

}  // namespace morsel::cli
