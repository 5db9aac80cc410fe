// The thread that looks where frames may be in huge pages: one for all morsels of the process.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <mutex>
#include <vector>

#include "base/mutex.h"

namespace morsel::os {

/// What the thread looks at.
class HugeWatched {
 public:
  /// Returns whether something has changed since the last look.
  virtual bool Look() = 0;

 protected:
  ~HugeWatched() = default;
};

/// It begins with the first large block that a program gets, so that a program without any has no
/// thread. It sleeps where there is nothing to see, and ends with the last one that it looks at.
///
/// Threads  any.
class HugeThread {
 public:
  /// The process' own. It is never destroyed: the thread may run when statics are.
  static HugeThread& OfProcess();

  /// The thread may look at it, from the next Wake() on.
  /// Ownership  the caller's; it lives until Remove().
  void Add(HugeWatched& watched);
  /// Waits for a look in progress, and for the thread's end if nothing is left. Not for what was
  /// added before a fork.
  void Remove(HugeWatched& watched);

  /// There is more to see of it: so many bytes. The thread looks soon, and often while something
  /// changes; then more rarely, and after some seconds no more until the next call.
  void Wake(HugeWatched& watched, uint64_t bytes);
  /// Begins the thread if it is worth it and there is none. Where none is to be had, nothing is
  /// looked at until a checkpoint does.
  /// Threads  any that holds no mutex: the system calls the program's malloc().
  void Begin();

  /// Around fork(2). The child has no thread, and nothing to look at.
  void BeforeFork() { mutex_.lock(); }
  void AfterFork(bool child);

  /// Large blocks of fewer bytes altogether are worth no thread.
  static constexpr uint64_t kBytesMin = uint64_t{16} << 20;

 private:
  enum class State : uint8_t { kNone, kBegins, kRuns, kEnds };
  struct Due {
    HugeWatched* watched;
    uint64_t at_us;
    uint64_t wait_us;
    unsigned quiet_looks;
  };

  HugeThread() = default;
  static void* Run(void* self);
  void RunThread();
  void LookAt(std::unique_lock<Mutex>& held, HugeWatched* watched, uint64_t now_us);
  std::vector<Due>::iterator Find(const HugeWatched* watched);

  Mutex mutex_{LockRank::kHugeThread};
  Condition woken_;    ///< the thread waits for it
  Condition changed_;  ///< others wait for it: a look is over, or the thread is
  State state_ = State::kNone;
  uint64_t bytes_ = 0;    ///< that there were to be seen since there is no thread, up to kBytesMin
  uint64_t count_ = 0;    ///< of those that were added
  std::vector<Due> due_;  ///< what is to be looked at
  HugeWatched* looks_at_ = nullptr;
  uint64_t rests_until_us_ = 0;
  pthread_t thread_{};
};

}  // namespace morsel::os
