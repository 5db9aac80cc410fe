// The log of the threads that work on a heap. They log each change before and after making it. As
// in fine_log.h, a change whose intent is still there may or may not have happened.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/units.h"
#include "tests/crash/block_marks.h"
#include "tests/crash/counter.h"
#include "tests/crash/failure.h"
#include "tests/crash/object.h"

namespace morsel::crash {

/// Slots for pointers, in the heap's root table. One thread at a time uses a slot.
inline constexpr uint64_t kHeapSlots = 2048;
inline constexpr uint64_t kHeapThreadsMax = 8;
inline constexpr uint64_t kHeapBytesAtFirst = 2 * kMiB;
inline constexpr uint64_t kHeapCapacityBytes = 8 * kGiB;

struct HeapSlotLog {
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

struct HeapThreadLog {
  uint64_t last_serial = 0;
  /// The thread is being given a block, which has no mark yet.
  std::atomic<bool> taking = false;
};

enum class HeapOperation : uint64_t {
  kPut,
  kBatch,
  kDrop,
  kReplace,
  kReallocate,
  kPassOn,
  kScratch,
  kLose,
  kFlushFrees,
  kResize,
  kReopen,
  kNoSpace,  ///< one of the others, for which there was no space
  kCount
};

struct HeapLog {
  Counter steps;  ///< raised at each step of the work
  std::array<std::atomic<uint64_t>, static_cast<uint64_t>(HeapOperation::kCount)> counts{};
  std::atomic<uint64_t> giants = 0;  ///< objects of more than 1 GiB that were linked
  std::atomic<uint64_t> heap_bytes = kHeapBytesAtFirst;
  std::array<HeapSlotLog, kHeapSlots> slots;
  std::array<HeapThreadLog, kHeapThreadsMax> threads;
  Failure failure;
  /// kLinked, or kHeld or kFreed with the number of a thread.
  BlockMarks<kHeapCapacityBytes> marks;
};

/// Marks of blocks. The number of a thread is added to kHeld and kFreed.
inline constexpr uint8_t kLinked = 1;
/// The thread has the block, or has passed it on to another thread, or has lost it.
inline constexpr uint8_t kHeld = 0x40;
inline constexpr uint8_t kFreed = 0x80;

}  // namespace morsel::crash
