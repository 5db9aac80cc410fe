// The log of a snapshot morsel's writer. The writer logs each checkpoint before and after making
// it, in memory that it shares with the processes that kill it and that check the morsel.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/checksum.h"
#include "tests/crash/counter.h"
#include "tests/crash/failure.h"
#include "tests/crash/image/churn.h"

namespace morsel::crash {

/// The morsel at the beginning of a checkpoint.
struct LoggedCheckpoint {
  uint64_t generation = 0;
  uint64_t size_bytes = 0;
  uint64_t live_bytes = 0;
  uint64_t library_sum = 0;
  bool quiet = false;  ///< no thread was in the allocator: `bytes` covers all size_bytes
  Sum128 bytes;
  std::array<ChurnCut, kChurners> cuts;  ///< if not quiet
};

/// The second morsel of the pool, which is made, filled and removed.
enum class Side : uint64_t { kAbsent, kComing, kEmpty, kFilling, kFull, kGoing };

/// What a writer is about to do when it raises the counter of the moment. It is killed at such
/// instants.
enum class Moment : uint64_t {
  kOpen,
  kChange,
  kCheckpoint,
  kClose,
  kDiscard,
  kCreate,
  kFill,
  kRemove,
  kCount
};

struct ImageLog {
  std::array<Counter, static_cast<uint64_t>(Moment::kCount)> moments;
  /// How long the last moment of each kind took.
  std::array<std::atomic<uint64_t>, static_cast<uint64_t>(Moment::kCount)> nanoseconds{};

  /// Checkpoints by generation, modulo 2. The newest is complete before `begun` names it.
  std::array<LoggedCheckpoint, 2> checkpoints;
  std::atomic<uint64_t> begun = 0;
  std::atomic<uint64_t> completed = 0;
  std::array<ChurnLog, kChurners> churn;

  std::atomic<Side> side = Side::kAbsent;
  Failure failure;

  LoggedCheckpoint& CheckpointOf(uint64_t generation) {
    return checkpoints[generation % checkpoints.size()];
  }
};

}  // namespace morsel::crash
