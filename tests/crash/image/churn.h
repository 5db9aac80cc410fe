// Threads that allocate and free while a checkpoint is made, and what a
// checkpoint may have of their blocks: each thread's calls up to some instant
// within it, and none of the later ones.
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
/// Each allocates so many blocks, then frees them in the same order, and again.
inline constexpr uint64_t kChurnHeld = 32;
inline constexpr uint64_t kChurnRing = 2048;
/// While a checkpoint is watched no more calls than this are made by one thread.
inline constexpr uint64_t kChurnWatchedMax = 1000;
/// Sizes that nobody else allocates, so that a block says whose it is.
inline constexpr std::array<uint64_t, kChurners> kChurnBytes = {kOthersBlockBytes,
                                                                kOthersExtentBytes};

/// The calls of one thread. The i-th allocates if i / kChurnHeld is even, else it frees what the
/// (i - kChurnHeld)-th has allocated.
struct ChurnLog {
  std::array<uint64_t, kChurnRing> addresses{};  ///< what the i-th call allocated, modulo
  std::atomic<uint64_t> done = 0;                ///< calls that have returned
  std::atomic<uint64_t> watched_from = ~uint64_t{0};
};

/// A checkpoint's view of it.
struct ChurnCut {
  std::array<uint64_t, kChurnRing> addresses{};
  uint64_t first = 0;  ///< calls that were done when the checkpoint began
  uint64_t last = 0;   ///< calls that were done when it ended, or when the process was killed
};

void BeginWatch(ChurnLog& log);
/// What the watch has seen so far. The thread may go on meanwhile; the process may be dead.
void TakeCut(const ChurnLog& log, ChurnCut* cut);
void EndWatch(ChurnLog& log);

/// Empty if the thread's blocks among `allocated` are what it had after some number of calls that
/// the cut allows.
std::string WhyNoCut(const ChurnCut& cut, uint64_t churner, const std::vector<Block>& allocated);

/// Runs the threads while it lives; they hold nothing when it begins.
class Churn {
 public:
  Churn(morsel_t* morsel, std::array<ChurnLog, kChurners>& logs, Failure& failure);
  ~Churn();

 private:
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> threads_;
};

/// Frees what the threads of an earlier process have left.
void FreeChurned(morsel_t* morsel);

}  // namespace morsel::crash
