// The signals of threads that the library makes.
#pragma once

#include <csignal>

namespace morsel {

/// While it lives, threads that the calling thread makes get none of the program's signals, which
/// are for its own threads. They get those of their own faults: the kernel ends a process at once,
/// without any handler, if a thread faults that blocks the signal.
class QuietThreads {
 public:
  QuietThreads() {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP}) sigdelset(&all, fault);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~QuietThreads() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  QuietThreads(const QuietThreads&) = delete;
  QuietThreads& operator=(const QuietThreads&) = delete;

 private:
  sigset_t before_;
};

}  // namespace morsel
