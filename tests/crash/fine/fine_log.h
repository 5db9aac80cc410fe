// What the writer of a fine morsel says of each change before and after making
// it: the model that a reopened morsel is compared with.
//
//   store the intent -> change the morsel -> store the result -> clear the intent
//
// All that was said before a kill is there after it, since the log is shared
// memory. A change whose intent stands may have happened or not; all others must
// be as the result says.
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
/// A partition's slots: pointers in an array in the morsel, and behind them named roots.
inline constexpr uint64_t kArraySlots = 240;
inline constexpr uint64_t kRootSlots = 8;
inline constexpr uint64_t kSlots = kArraySlots + kRootSlots;
inline constexpr uint64_t kChangesMax = 8;
inline constexpr uint64_t kCapacityBytes = uint64_t{256} << 20;
/// Threads of a writer, at most.
inline constexpr uint64_t kWriterThreadsMax = 8;

struct Change {
  uint64_t slot = 0;
  Object before;
  Object after;
};

/// Of something that is made and removed as a whole.
enum class Presence : uint64_t { kAbsent, kComing, kPresent, kGoing };

/// A partition is changed by one thread at a time.
struct PartitionLog {
  std::array<Object, kSlots> slots;
  uint64_t last_serial = 0;
  std::atomic<Presence> array = Presence::kAbsent;  ///< never removed
  std::atomic<uint64_t> changes_in_flight = 0;
  std::array<Change, kChangesMax> changes;
  /// So many blocks may be allocated that nobody reaches.
  std::atomic<uint64_t> blocks_in_flight_max = 0;

  /// `blocks` is how many blocks the work may leave allocated and unreachable, if cut off.
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
  /// The changes were not made, and nothing is left of the try.
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
  kNoSpace,  ///< one of the others, given up
  kCount
};

struct FineLog {
  Counter steps;  ///< raised at each step of the work
  std::array<std::atomic<uint64_t>, static_cast<uint64_t>(Operation::kCount)> counts{};
  std::array<PartitionLog, kPartitions> partitions;
  std::atomic<Presence> side = Presence::kAbsent;  ///< a second morsel
  Failure failure;
  /// kGiven or kGivenBack, of blocks that were.
  BlockMarks<kCapacityBytes> marks;
};
inline constexpr uint8_t kGiven = 1;
inline constexpr uint8_t kGivenBack = 2;

}  // namespace morsel::crash
