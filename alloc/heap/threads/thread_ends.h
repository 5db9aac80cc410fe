// What happens when a thread ends or the process forks.
#pragma once

#include <cstdint>

namespace morsel::alloc {

/// The calling thread's number, from 1 on; no other thread of the process ever has the same. 0 if
/// the thread is ending: then its listeners have been told, or are being told, and will not be
/// again.
/// Threads  any.
uint64_t ThreadNumber();

/// Is told of the end of each thread that has called ThreadNumber().
class ThreadEndListener {
 public:
  /// Called in the ending thread, which holds no mutex then. Several threads may call it at once.
  virtual void ThreadEnds(uint64_t thread) = 0;

 protected:
  ~ThreadEndListener() = default;
};

/// From now on the listener is told of threads that end, until Unregister(). A forked child begins
/// without listeners and with empty slots, because what its heaps know of threads is the parent's.
/// Ownership  the caller's; it calls Unregister() before it destroys the listener.
/// Threads    any.
void Register(ThreadEndListener* listener);
/// Waits for calls of ThreadEnds() in progress. Afterwards there are none.
/// Threads  any that holds no mutex for which ThreadEnds() of this listener waits.
void Unregister(ThreadEndListener* listener);

}  // namespace morsel::alloc
