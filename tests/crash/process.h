// Processes that a test starts, ends and kills.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/crash/counter.h"
#include "tests/crash/failure.h"

namespace morsel::crash {

/// A fork of this process, which must have one thread only. The child dies with its parent.
class Child {
 public:
  /// The child runs `body` and exits with the status that it returns, without destructors of static
  /// objects.
  explicit Child(const std::function<int()>& body);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  /// Kills it by SIGKILL `delay` after the counter has reached its target.
  /// Returns  empty; or a message if it ended by itself before that, or stopped making progress.
  std::string KillAtTarget(const Counter& counter, std::chrono::nanoseconds delay);

  /// Waits for its end. Returns empty if it exits with 0 or is killed by SIGKILL, else how it
  /// ended.
  std::string Wait();

 private:
  pid_t pid_;
};

using Findings = std::vector<std::string>;

/// Runs `body` in a child process and returns what it found. The death of the child is a finding,
/// too.
Findings FindInChild(const std::function<Findings()>& body);

/// What the writer says of its failure, if it failed.
Findings WriterFailed(const Failure& failure);

}  // namespace morsel::crash
