// Real threads, one of which runs at a time: whose turn it is changes at atomics,
// at flushes and fences, and where a mutex is taken or given back, as a seed
// decides. So an interleaving of a program that is the same every time can be had
// again from its seed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace morsel::sim {

class Scheduler {
 public:
  static constexpr size_t kThreadsMax = 3;

  /// Runs each body in a thread of its own until all have returned. Answers a sentence where they
  /// wait for each other for ever; they are left where they are.
  static std::string Run(const std::vector<std::function<void()>>& bodies, uint64_t seed);

  // For the hooks.

  /// Where another thread may go on.
  static void SwitchPoint(const void* pc);
};

}  // namespace morsel::sim
