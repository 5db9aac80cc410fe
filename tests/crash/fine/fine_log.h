// The log of a fine morsel's writer. The writer logs each change before and after making it, and a
// checker compares the reopened morsel with the log.
//
//   store the intent -> change the morsel -> store the result -> clear the intent
//
// The log is shared memory, so a kill loses none of it. A change whose intent is still there may or
// may not have happened; all other changes must have their logged result.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "tests/crash/block_marks.h"
#include "tests/crash/counter.h"
#include "tests/crash/failure.h"
#include "tests/crash/object.h"

namespace morsel::crash {

inline constexpr uint64_t kPartitions = 4;
/// The slots of a partition: first pointers in an array in the morsel, then named roots.
inline constexpr uint64_t kArraySlots = 240;
inline constexpr uint64_t kRootSlots = 8;
inline constexpr uint64_t kSlots = kArraySlots + kRootSlots;
inline constexpr uint64_t kChangesMax = 8;
inline constexpr uint64_t kCapacityBytes = uint64_t{256} << 20;
/// The most threads of a writer.
inline constexpr uint64_t kWriterThreadsMax = 8;

struct Change {
  uint64_t slot = 0;
  Object before;
  Object after;
};

/// The state of something that is made and removed as a whole.
enum class Presence : uint64_t { kAbsent, kComing, kPresent, kGoing };

/// The log of one partition. One thread at a time changes a partition.
struct PartitionLog {
  std::array<Object, kSlots> slots;
  uint64_t last_serial = 0;
  std::atomic<Presence> array = Presence::kAbsent;  ///< never removed
  std::atomic<uint64_t> changes_in_flight = 0;
  std::array<Change, kChangesMax> changes;
  /// How many blocks may be allocated that nothing points to.
  std::atomic<uint64_t> blocks_in_flight_max = 0;

  /// `blocks`: how many blocks the work may leave allocated and unreachable if it is killed.
  void Begin(std::span<const Change> wanted, uint64_t blocks) {
    std::copy(wanted.begin(), wanted.end(), changes.begin());
    changes_in_flight.store(wanted.size());
    blocks_in_flight_max.store(blocks);
  }
  /// The changes were made.
  void Finish() {
    for (uint64_t i = 0; i < changes_in_flight.load(); ++i) {
      slots[changes[i].slot] = changes[i].after;
    }
    Cancel();
  }
  /// The changes were not made, and the attempt left nothing.
  void Cancel() {
    changes_in_flight.store(0);
    blocks_in_flight_max.store(0);
  }
};

enum class Operation : uint64_t {
  kPut,
  kBatch,
  kDrop,
  kReplace,
  kScratch,
  kSweep,
  kResize,
  kCheckpoint,
  kSide,
  kReopen,
  kNoSpace,  ///< one of the others, for which there was no space
  kCount
};

struct FineLog {
  Counter steps;  ///< raised at each step of the work
  std::array<std::atomic<uint64_t>, static_cast<uint64_t>(Operation::kCount)> counts{};
  std::array<PartitionLog, kPartitions> partitions;
  std::atomic<Presence> side = Presence::kAbsent;  ///< a second morsel
  Failure failure;
  /// kGiven for blocks that were allocated, kGivenBack for blocks that were freed.
  BlockMarks<kCapacityBytes> marks;
};
inline constexpr uint8_t kGiven = 1;
inline constexpr uint8_t kGivenBack = 2;

}  // namespace morsel::crash
