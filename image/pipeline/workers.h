// Threads that work on slots of a pipeline while the caller does the I/O.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "base/mutex.h"

namespace morsel::pmem::image {

/// The processors that this process may run on.
unsigned ProcessorCount();

/// [WRK-1] A slot is idle, queued, or being worked on by one thread.
/// Ownership  the destructor waits for what was started.
/// Threads    Start() and Await(): one, the caller's.
class Workers {
 public:
  /// `work` is called with a slot below `slots` by any of the threads, which are numbered from 0.
  /// Of `threads` one is the caller's, which works while it waits; where others cannot be had it
  /// works alone.
  Workers(size_t slots, std::function<void(size_t slot, unsigned thread)> work, unsigned threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// The slot is idle, and what work() reads of it is there.
  void Start(size_t slot);

  /// Until the slot is idle: what work() wrote of it is there.
  void Await(size_t slot);

 private:
  static void* Run(void* workers);
  void WorkOn(std::unique_lock<Mutex>& held, unsigned thread);

  std::function<void(size_t, unsigned)> work_;
  Mutex mutex_{LockRank::kWorkers};
  Condition queued_;
  Condition idle_again_;
  std::deque<size_t> queue_;
  std::vector<bool> is_idle_;
  bool ends_ = false;
  unsigned begun_ = 0;
  std::vector<pthread_t> threads_;
};

}  // namespace morsel::pmem::image
