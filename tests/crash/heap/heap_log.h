// What the threads that work on a heap say of each change before and after making
// it. As in fine_log.h: a change whose intent stands may have happened or not.
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

/// Places for pointers, in the heap's root table. Each is one thread's at a time.
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
  /// A block is being taken of which no mark tells yet.
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
  kSettle,
  kResize,
  kReopen,
  kNoSpace,  ///< one of the others, given up
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
  /// kLinked, or a thread's kHeld or kFreed.
  BlockMarks<kHeapCapacityBytes> marks;
};

/// Marks of blocks. A thread's number is added to the last two.
inline constexpr uint8_t kLinked = 1;
inline constexpr uint8_t kHeld =
    0x40;  ///< the thread has it, or whoever it handed it to; or it is lost
inline constexpr uint8_t kFreed = 0x80;

}  // namespace morsel::crash
