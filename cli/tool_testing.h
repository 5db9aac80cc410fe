// morselctl as a process, and a folder for its pools.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "os/testing/scratch_testing.h"

namespace morsel::cli {

struct Ran {
  int exit_code = -1;  ///< -1: it was ended by a signal
  std::string out;
  std::string error;
};

/// Each test has a folder of its own on /dev/shm, where a file can stand in for persistent memory.
class ToolTest : public testing::Test {
 protected:
  void SetUp() override;

  /// Runs `morselctl arguments`. `typed`: what a terminal on standard input has to say; else it is
  /// /dev/null.
  Ran Run(const std::vector<std::string>& arguments, const char* typed = nullptr) const;
  /// Runs it with --json, and expects success. What it printed.
  nlohmann::json RunJson(std::vector<std::string> arguments) const;
  /// Runs it and expects the code, and each of `words` in the one line of error.
  void Fails(const std::vector<std::string>& arguments, int exit_code,
             const std::vector<std::string>& words) const;
  void Succeeds(const std::vector<std::string>& arguments) const;

  pmem::Scratch scratch_ = pmem::Scratch::InMemory();
  std::string folder_ = scratch_.path();
  std::string pool_ = scratch_.At("pool");      ///< a path for a directory pool
  std::string carved_ = scratch_.At("carved");  ///< a path for a carved pool
};

/// Path and bytes of every file at or below `path`.
std::map<std::string, std::string> AllBytes(const std::string& path);

}  // namespace morsel::cli
