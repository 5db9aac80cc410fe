// Memory that one thread at a time has, and that is still there when the thread is gone.
//
// A thread's own thread-local memory goes with the thread, at a moment that nobody else can be sure
// of: destructors run in an order that the program chooses, and calls of the library may come after
// all of ours. So what others read or write of a thread, and what is too large for thread-local
// memory, lies in an area. A thread that ends gives its area back, or leaves it: the kernel says
// who is gone. It marks the robust mutexes of a thread when that has executed its last instruction.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace morsel {

/// What an area begins with. All of an area is zero at first.
struct ThreadArea {
  /// The number of the thread that has the area, from 1 on; no two owners of any area have the
  /// same. 0: nobody has it. A thread that gives its area back and takes one again has a new
  /// number.
  std::atomic<uint64_t> owner{0};
  pthread_mutex_t alive{};  ///< its owner holds it, from the first call to its last instruction
  std::atomic<uint32_t> made{0};  ///< 0 in a process that was cloned of the one that made it
  ThreadArea* next = nullptr;     ///< of all areas
  std::atomic<ThreadArea*> next_free{nullptr};  ///< of those that were given back
};

/// All areas of one kind. They are never unmapped, and used again.
///
/// Threads  any, without waiting; when a thread ends and in a forked child, too.
class ThreadAreas {
 public:
  /// `empty_in_child`: a child process begins with all areas zero. They are nobody's there, and not
  /// used again. Otherwise a forked child has a copy, and its one thread still has its own.
  constexpr ThreadAreas(size_t area_bytes, bool empty_in_child)
      : area_bytes_(area_bytes), empty_in_child_(empty_in_child) {}
  ThreadAreas(const ThreadAreas&) = delete;
  ThreadAreas& operator=(const ThreadAreas&) = delete;

  /// Returns an area for the calling thread, which has it until GiveBack() or until it is gone. Its
  /// bytes behind the ThreadArea are zero, or as the owner before left them. Returns nullptr if
  /// there is no memory.
  ///
  /// Areas whose owners are gone are found a few at a time. So there may be a seventh more areas
  /// than there were threads at once.
  /// Cost  a look at kLooks areas at most, however many there are.
  ThreadArea* Take();
  /// The calling thread has the area.
  void GiveBack(ThreadArea* area);

  /// Whether the thread that had the area under the number `owner` still has it, and is not gone.
  static bool IsStillOf(ThreadArea* area, uint64_t owner);

  static constexpr int kLooks = 8;

 private:
  /// The areas that were given back. In one word are the first one's address, less its zero bits at
  /// both ends, and above it a count of changes: who takes the first one off sees by the count
  /// whether others did so and gave it back meanwhile, when another one follows it.
  using FreeList = std::atomic<uint64_t>;

  ThreadArea* TakeLeft();
  ThreadArea* TakeFree();
  ThreadArea* Make();
  void ForgetParents(ThreadArea* first);

  std::atomic<ThreadArea*> first_{nullptr};
  std::atomic<ThreadArea*> next_look_{nullptr};  ///< where the search for left areas goes on
  FreeList free_{0};
  size_t area_bytes_;
  bool empty_in_child_;
};

}  // namespace morsel
