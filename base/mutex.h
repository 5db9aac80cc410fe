// The library's mutexes, and the one order in which a thread takes them.
//
// Two threads that take two mutexes in opposite orders wait for each other for ever. So
// that no test has to meet them in that moment, each mutex has a rank, and a thread takes
// only ranks above all those that it holds. A debug build ends the process at the first
// call that does otherwise; with NDEBUG nothing of this is left.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace morsel {

/// All mutexes of the library. What stands first is taken first; no thread holds two of one rank.
///
/// Locks of files have no place here: they are tried and never waited for.
enum class LockRank : uint8_t {
  // Of one pool. A program's callback may run while they are held (OutsideCall).
  kOpenPool,      ///< OpenPool::mutex_: what becomes of which name; not held while bytes move
  kStoring,       ///< OpenMorsel::storing_mutex_: one call at a time stores a morsel
  kRoots,         ///< OpenMorsel::roots_mutex_: a morsel's roots
  kHeap,          ///< Heap::mutex_: a heap's range and all of it that is no thread's own
  kGuard,         ///< Guard::mutex_: the blocks that a guarded heap has given and keeps
  kCarvedMedium,  ///< CarvedMedium::mutex: a carved pool's catalog, its space and its mappings

  // Of one object, around a few lines.
  kSections,    ///< Sections::mutex_: the list of threads that have begun sections
  kCommits,     ///< GroupCommit::mutex_: who waits for a commit
  kImagePages,  ///< ImageBacking::pages_mutex_: the pages that may differ from the image
  kMorselInfo,  ///< OpenMorsel::told_mutex_: what is told of a morsel while its heap is held
  kHugeLook,    ///< HugeWatch::look_mutex_: held while somebody looks at a morsel's frames
  kHugeAdvice,  ///< HugeAdvice::mutex_: where a morsel's frames may be huge
  kWorkers,     ///< Workers::mutex_: the queue of an image's pipeline

  // Of the process. None is held while one of a pool is waited for.
  kThreadEnds,      ///< thread_ends.cc: the heaps that are told of threads that end
  kForkGate,        ///< process.cc: held by fork(2), and while a pool is opened or closed
  kOpened,          ///< process.cc: the open pools, and the table of their address ranges
  kFileForks,       ///< files_of_this_process.cc: held by fork(2), and while a file is opened
  kFilesOfProcess,  ///< files_of_this_process.cc: the files that a child closes
  kAddressRanges,   ///< address_range.cc: who has which address range
  kBusErrors,       ///< bus_error.cc: where a SIGBUS is explained
  kHugeThread,      ///< huge_thread.h: what is looked at, and whether there is a thread for it
  kPmem2Maps,       ///< pmem2_persist.cc: what libpmem2 has mapped
  kDenseMemory,     ///< dense_memory.cc: memory that lies side by side
  kDescriptors,     ///< descriptor_floor.cc: what stands in for closed standard descriptors
};

/// A std::mutex that knows its rank.
///
/// Errors  a debug build ends the process where a rank is taken that is not above all that the
///         calling thread holds, before it waits; by try_lock(), too.
/// Threads any; in handlers of fork(2) and when a thread ends, too. In a forked child the thread
///         holds what it held in the parent.
/// Cost    as std::mutex. With NDEBUG it is one, in size and in code.
class Mutex {
 public:
  explicit constexpr Mutex(LockRank rank) noexcept;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // As the standard library's locks want them.
  void lock();
  bool try_lock();
  void unlock();

 private:
  friend class Condition;

  std::mutex mutex_;
#ifndef NDEBUG
  LockRank rank_;
#endif
};

/// What a thread that holds a Mutex waits for.
///
/// Threads  any; not to be used again in a child that was forked while somebody waited.
class Condition {
 public:
  /// Gives the mutex back while it waits. It may return without a notification.
  void Wait(std::unique_lock<Mutex>& held) {
    std::unique_lock<std::mutex> inner(held.mutex()->mutex_, std::adopt_lock);
    condition_.wait(inner);
    inner.release();
  }
  /// As Wait(), but for no longer than so many microseconds.
  void WaitFor(std::unique_lock<Mutex>& held, uint64_t microseconds) {
    std::unique_lock<std::mutex> inner(held.mutex()->mutex_, std::adopt_lock);
    (void)condition_.wait_for(inner, std::chrono::microseconds(microseconds));
    inner.release();
  }
  void NotifyOne() noexcept { condition_.notify_one(); }
  void NotifyAll() noexcept { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

/// Stands around a call of a function that is the program's, or a test's.
///
/// The contract forbids such a function to use the morsel and the pool that call it, and allows it
/// all others. Their mutexes are not those that this thread holds, so that ranks begin anew while
/// the object lives.
///
/// Errors  a debug build ends the process where a mutex is held that is not one of a pool's: who
///         waits for that would wait for the program.
/// Cost    nothing with NDEBUG.
class OutsideCall {
 public:
  OutsideCall();
  ~OutsideCall();
  OutsideCall(const OutsideCall&) = delete;
  OutsideCall& operator=(const OutsideCall&) = delete;

 private:
#ifndef NDEBUG
  uint32_t held_before_;
#endif
};

#ifdef NDEBUG

constexpr Mutex::Mutex(LockRank) noexcept {}
inline void Mutex::lock() { mutex_.lock(); }
inline bool Mutex::try_lock() { return mutex_.try_lock(); }
inline void Mutex::unlock() { mutex_.unlock(); }
inline OutsideCall::OutsideCall() {}
inline OutsideCall::~OutsideCall() {}

#else

constexpr Mutex::Mutex(LockRank rank) noexcept : rank_(rank) {}

#endif

}  // namespace morsel
