// What happens when a thread ends or the process forks.
#pragma once

#include <cstdint>

#include "alloc/heap/threads/end_of_thread.h"
#include "alloc/heap/threads/thread_state.h"

namespace morsel::alloc {

/// The calling thread's state. Its first call gets one. So does its first call after EndThread():
/// for all heaps that is another thread. If the thread that had the state before is gone without a
/// report, this reports its end. Returns nullptr if there is no memory.
///
/// Ownership  the thread's, until it has ended or is gone.
/// Threads    any that holds no mutex, because the system may call the program's malloc().
ThreadState* MyState();

/// A heap, which is told of the end of each thread that holds a part of it. A thread may use the
/// heap so late that nobody is told of its end, or leave in a way that tells nobody; then it is
/// told when a later thread gets what that one had.
class ThreadEndListener {
 public:
  /// The thread that holds `ended` ends, or is gone. Called in the ending thread, or in a later
  /// one, which holds no mutex then. Several threads may call it at once.
  virtual void ThreadEnds(ThreadHeap& ended) = 0;

 protected:
  ~ThreadEndListener() = default;
};

/// What tells an open heap from others.
struct OpenHeap {
  /// From 1 on. No two open heaps have the same. It is small: a heap gets one that a closed heap
  /// had, if there is one.
  uint32_t number = 0;
  uint64_t opening = 0;  ///< From 1 on. No two heaps have the same, ever.
};

/// From now on the listener is told of threads that end, until Unregister(). A forked child begins
/// without listeners and without states, because what its heaps know of threads is the parent's.
/// Ownership  the caller's; it calls Unregister() before it destroys the listener.
/// Threads    any.
OpenHeap Register(ThreadEndListener* listener);
/// Waits for calls of ThreadEnds() in progress. Afterwards there are none.
/// Threads  any that holds no mutex for which ThreadEnds() of this listener waits.
void Unregister(OpenHeap heap);

}  // namespace morsel::alloc
