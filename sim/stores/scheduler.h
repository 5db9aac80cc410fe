// Runs real threads, one at a time. At atomics, flushes and fences, and where a mutex is locked or
// unlocked, a seed decides which thread runs next. So a seed reproduces the interleaving of a
// program that is otherwise deterministic.
//
// Threads may wait for each other by mutexes and by polling atomics. The scheduler does not know
// condition variables or futexes.
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

  /// Runs each body in a thread of its own until all have returned. Returns a message where they
  /// deadlock, where they never end, or where one dies; such threads stay where they are for good.
  ///
  /// Each thread calls `at_thread_end` last, after the destructors of its own thread-local objects.
  static std::string Run(const std::vector<std::function<void()>>& bodies, uint64_t seed,
                         void (*at_thread_end)() = nullptr);

  // Called by hooks, in the thread whose turn it is.

  /// May let another thread run. Does nothing in a thread that is not the scheduler's.
  static void SwitchPoint();
  /// Waits, because another thread has the mutex.
  static void WaitFor(const pthread_mutex_t* mutex);
  /// The mutex is free: threads that wait for it may run again.
  static void Unlocked(const pthread_mutex_t* mutex);
  /// Ends the run. The calling thread never continues. A signal handler may call it.
  [[noreturn]] static void Abandon(const char* message);
};

}  // namespace morsel::sim
