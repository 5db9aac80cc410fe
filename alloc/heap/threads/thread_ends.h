// What happens when a thread ends or the process forks.
#pragma once

#include <cstdint>

namespace morsel::alloc {

/// The calling thread's, never another's; 0 if it is ending and will not be heard of again.
uint64_t ThreadNumber();

/// Told of each thread that ends, after it has called ThreadNumber().
class ThreadEndListener {
 public:
  /// Threads  the one that ends, which holds no mutex; several at once.
  virtual void ThreadEnds(uint64_t thread) = 0;

 protected:
  ~ThreadEndListener() = default;
};

/// In a forked child nobody is registered: the slots are empty there, and what heaps know of
/// threads is their parent's.
/// Threads  any.
void Register(ThreadEndListener* listener);
/// Waits until no thread is telling the listener that it ends.
/// Threads  any that holds nothing which ThreadEnds() of that listener waits for.
void Unregister(ThreadEndListener* listener);

}  // namespace morsel::alloc
