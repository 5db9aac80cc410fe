// What happens when a thread ends or the process forks.
#pragma once

#include <cstdint>

#include "alloc/heap/threads/end_of_thread.h"
#include "alloc/heap/threads/thread_state.h"

namespace morsel::alloc {

/// The calling thread's state. Its first call gets one. So does its first call after EndThread(),
/// with another number: for all heaps that is another thread. Returns nullptr if there is no
/// memory.
///
/// Ownership  the thread's, until it has ended or is gone.
/// Threads    any that holds no mutex, because the system may call the program's malloc().
ThreadState* MyState();

/// Is told of the end of each thread that has called MyState(), unless that called it so late that
/// nobody is told of its end (ThreadAreas::IsGone()).
class ThreadEndListener {
 public:
  /// Called in the ending thread, which holds no mutex then. Several threads may call it at once.
  virtual void ThreadEnds(uint64_t thread) = 0;

 protected:
  ~ThreadEndListener() = default;
};

/// From now on the listener is told of threads that end, until Unregister(). A forked child begins
/// without listeners and without states, because what its heaps know of threads is the parent's.
/// Ownership  the caller's; it calls Unregister() before it destroys the listener.
/// Threads    any.
void Register(ThreadEndListener* listener);
/// Waits for calls of ThreadEnds() in progress. Afterwards there are none.
/// Threads  any that holds no mutex for which ThreadEnds() of this listener waits.
void Unregister(ThreadEndListener* listener);

}  // namespace morsel::alloc
