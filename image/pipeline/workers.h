// Threads that work on slots of a pipeline while the caller does the I/O.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

#include "base/mutex.h"

namespace morsel::image {

/// Returns how many processors this process may run on; 1 if the kernel does not tell.
unsigned ProcessorCount();

/// [WRK-1] A slot is idle, queued, or being worked on by one thread.
///
/// Ownership  the destructor waits for what was started.
/// Memory     is taken by the constructor alone.
/// Threads    Start() and Await(): one, the caller's.
class Workers {
 public:
  /// Any of the threads calls `work` with a slot below `slots` and with the thread's number, below
  /// `threads`. Thread 0 is the caller's, which works while it waits in Await(). If the system does
  /// not give all the others, there are fewer; the caller's alone is enough.
  Workers(size_t slots, std::function<void(size_t slot, unsigned thread)> work, unsigned threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Queues a slot for work(). The slot is idle, and what work() reads of it is in place.
  void Start(size_t slot);

  /// Waits until the slot is idle. The caller then sees what work() has written. The caller's
  /// thread works on queued slots meanwhile, not only on this one.
  void Await(size_t slot);

 private:
  static void* Run(void* workers);
  void WorkOn(std::unique_lock<Mutex>& held, unsigned thread);

  std::function<void(size_t, unsigned)> work_;
  // Guards queue_, is_idle_, ends_ and begun_. It is not held while work_ runs. While it is held,
  // no other lock of ours is taken.
  Mutex mutex_{LockRank::kWorkers};
  Condition queued_;
  Condition idle_again_;
  std::vector<size_t> queue_;  // slots that were started and that no thread has taken yet
  std::vector<bool> is_idle_;  // by slot
  bool ends_ = false;          // the threads are to return
  unsigned begun_ = 0;         // threads that run; the last one's number
  std::vector<pthread_t> threads_;
};

}  // namespace morsel::image
