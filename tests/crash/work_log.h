// The log of the threads that work on a heap. They log each change before and after making it, and
// a checker compares what the next process finds with the log.
//
//   store the intent -> change the heap -> store the result -> clear the intent
//
// The log is shared memory, so a kill loses none of it. A change whose intent is still there may or
// may not have happened; all other changes must have their logged result.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "alloc/heap/layout/size_class.h"
#include "tests/crash/counter.h"
#include "tests/crash/failure.h"
#include "tests/crash/object.h"

namespace morsel::crash {

/// The most slots of a heap. A slot has a pointer, and one thread at a time uses it.
inline constexpr uint64_t kSlotsMax = 2048;
inline constexpr uint64_t kThreadsMax = 8;

struct SlotLog {
  Object now;
  Object next;
  std::atomic<bool> changing = false;

  void Begin(const Object& wanted) {
    next = wanted;
    changing.store(true);
  }
  void Finish() {
    now = next;
    changing.store(false);
  }
};

struct ThreadLog {
  uint64_t last_serial = 0;
  /// The thread is being given a block, which has no mark yet.
  std::atomic<bool> taking = false;
};

enum class Operation : uint64_t {
  kPut,
  kBatch,
  kDrop,
  kReplace,
  kReallocate,
  kPassOn,
  kScratch,
  kSweep,
  kLose,
  kSettle,
  kResize,
  kChosen,          ///< those before it are chosen by weights
  kSide = kChosen,  ///< a second morsel was made or removed
  kReopen,
  kNoSpace,  ///< one of the others, for which there was no space
  kCount
};

struct WorkLog {
  Counter steps;  ///< raised at each step of the work
  std::array<std::atomic<uint64_t>, static_cast<uint64_t>(Operation::kCount)> counts{};
  std::atomic<uint64_t> giants = 0;  ///< objects of more than 1 GiB that were linked
  std::array<SlotLog, kSlotsMax> slots;
  std::array<ThreadLog, kThreadsMax> threads;
  Failure failure;

  /// Whether some change has begun and not ended.
  bool IsInFlight() const {
    return std::any_of(slots.begin(), slots.end(),
                       [](const SlotLog& slot) { return slot.changing.load(); }) ||
           std::any_of(threads.begin(), threads.end(),
                       [](const ThreadLog& thread) { return thread.taking.load(); });
  }
};

/// A byte for each place of a heap at which a block may begin: the last mark of the block there, 0
/// at first. It is part of a SharedFile, so only touched pages take space.
template <uint64_t kHeapBytes>
struct BlockMarks {
  alignas(4096) std::array<uint8_t, kHeapBytes / alloc::kBlockBytesMin> bytes;
};

inline constexpr uint8_t kLinked = 1;
/// The number of a thread is added to kHeld and kFreed. The thread has the block, or has passed it
/// on to another thread, or has lost it.
inline constexpr uint8_t kHeld = 0x40;
inline constexpr uint8_t kFreed = 0x80;

}  // namespace morsel::crash
