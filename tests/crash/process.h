// Processes that a test starts, ends and kills.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/crash/counter.h"

namespace morsel::crash {

/// A fork of this process, which has one thread only. It dies with its parent.
class Child {
 public:
  /// What `body` returns is the exit status. No destructors of static objects are run.
  explicit Child(const std::function<int()>& body);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  /// Kills it by SIGKILL `delay` after the counter has reached its target.
  /// Returns  empty; or how it ended before that by itself, or that it came to a standstill.
  std::string KillAtTarget(const Counter& counter, std::chrono::nanoseconds delay);

  /// Empty if it exits with 0 or is killed by SIGKILL; or how it ended.
  std::string Wait();

 private:
  pid_t pid_;
};

using Findings = std::vector<std::string>;

/// What `body` finds in a process of its own; that it died is a finding too.
Findings FindInChild(const std::function<Findings()>& body);

}  // namespace morsel::crash
