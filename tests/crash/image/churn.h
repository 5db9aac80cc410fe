// Threads that allocate and free during a checkpoint, and what a checkpoint may contain of their
// blocks: the calls of each thread up to some instant of the checkpoint, and none of the later
// ones.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "morsel/morsel.h"
#include "tests/crash/blocks.h"
#include "tests/crash/failure.h"
#include "tests/crash/image/library.h"

namespace morsel::crash {

inline constexpr uint64_t kChurners = 2;
/// Each thread allocates this many blocks, frees them in the same order, and starts again.
inline constexpr uint64_t kChurnHeld = 32;
inline constexpr uint64_t kChurnRing = 2048;
/// The most calls that one thread makes while a checkpoint is watched.
inline constexpr uint64_t kChurnWatchedMax = 1000;
/// Sizes that nobody else allocates, so the size of a block tells which thread has it.
inline constexpr std::array<uint64_t, kChurners> kChurnBytes = {kOthersBlockBytes,
                                                                kOthersExtentBytes};

/// The calls of one thread. The i-th call allocates if i / kChurnHeld is even, else it frees what
/// the (i - kChurnHeld)-th call allocated.
struct ChurnLog {
  std::array<uint64_t, kChurnRing>
      addresses{};                 ///< what the i-th call allocated, at i % kChurnRing
  std::atomic<uint64_t> done = 0;  ///< calls that have returned
  std::atomic<uint64_t> watched_from = ~uint64_t{0};
};

/// The calls of one thread that a checkpoint may contain.
struct ChurnCut {
  std::array<uint64_t, kChurnRing> addresses{};
  uint64_t first = 0;  ///< calls that were done when the checkpoint began
  uint64_t last = 0;   ///< calls that were done when it ended, or when the process was killed
};

void BeginWatch(ChurnLog& log);
/// Copies what the watch has seen so far. The thread may continue meanwhile; its process may be
/// dead.
void TakeCut(const ChurnLog& log, ChurnCut* cut);
void EndWatch(ChurnLog& log);

/// Returns empty if the thread's blocks among `allocated` are those that it had after some number
/// of calls that the cut allows.
std::string WhyNoCut(const ChurnCut& cut, uint64_t churner, const std::vector<Block>& allocated);

/// Runs the threads while the object exists. They hold no blocks at the beginning.
class Churn {
 public:
  Churn(morsel_t* morsel, std::array<ChurnLog, kChurners>& logs, Failure& failure);
  ~Churn();

 private:
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> threads_;
};

/// Frees the blocks that the threads of an earlier process have left.
void FreeChurned(morsel_t* morsel);

}  // namespace morsel::crash
