// The end of a thread, for those who know that it comes.
#pragma once

namespace morsel::alloc {

/// Does what happens at the end of a thread that has called MyState() (thread_ends.h): heaps take
/// what the thread holds of them, and its state is given back. The system calls it among the
/// destructors of pthread_key_create(3). Calls of the library may follow, and a thread may end
/// without it.
/// Threads  any that holds no mutex.
void EndThread();

/// Ends the thread where it is destroyed. A simulated thread has one, thread-local: what comes
/// after the destructors of thread-local objects is not simulated.
struct EndOfThread {
  ~EndOfThread() { EndThread(); }
};

}  // namespace morsel::alloc
