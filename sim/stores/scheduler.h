// Real threads, one of which runs at a time: whose turn it is changes at atomics,
// at flushes and fences, and where a mutex is taken or given back, as a seed
// decides. So an interleaving of a program that is the same every time can be had
// again from its seed.
//
// Threads wait for each other by mutexes and by looking at atomics again and again.
// Condition variables and futexes are not known here.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace morsel::sim {

class Scheduler {
 public:
  static constexpr size_t kThreadsMax = 3;

  /// Runs each body in a thread of its own until all have returned. Answers a message where they
  /// wait for each other for ever, where they do not come to an end, or where one dies: they are
  /// left as they are, for good.
  ///
  /// Each thread calls `at_thread_end` last, when all its other destructors have run.
  static std::string Run(const std::vector<std::function<void()>>& bodies, uint64_t seed,
                         void (*at_thread_end)() = nullptr);

  // For the hooks, of a thread whose turn it is.

  /// Where another thread may go on. Nothing, in a thread that is not the scheduler's.
  static void SwitchPoint();
  /// The mutex is another's.
  static void WaitFor(const pthread_mutex_t* mutex);
  static void GivenBack(const pthread_mutex_t* mutex);
  /// Ends the run; the calling thread stays where it is. May be called by a signal's handler.
  [[noreturn]] static void Abandon(const char* message);
};

}  // namespace morsel::sim
