// pthread_cancel(3) waits while the library works.
#pragma once

#include <pthread.h>

namespace morsel {

/// While it lives, the calling thread is not cancelled. Most system calls are cancellation points,
/// and a thread that ended there would leave locks held and tables half changed. A request that
/// comes meanwhile is answered at the program's next cancellation point.
///
/// Cost  two atomic operations, so it stands around what makes system calls, and around nothing
///       short.
class DeferredCancellation {
 public:
  DeferredCancellation() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~DeferredCancellation() { pthread_setcancelstate(before_, nullptr); }
  DeferredCancellation(const DeferredCancellation&) = delete;
  DeferredCancellation& operator=(const DeferredCancellation&) = delete;

 private:
  int before_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace morsel
