// For tests of programs. Code that keeps a structure in a morsel of the fine contract is made to
// crash in every way that persistent memory allows; the report says whether it recovered each time.
//
//   auto report = morsel::sim::explore(
//       [](morsel::Morsel& morsel, morsel::sim::Log& log) { ... change it ... },
//       [](morsel::Morsel& morsel, morsel::sim::Log& log) -> std::string { ... check it ... });
//   if (!report.ok) std::cerr << report.text;
//
// Compile and link the program with the flags of `pkg-config morsel-sim`. They make the compiler
// announce every store, and link an instrumented build of the library. Nothing is mocked: after
// each crash the real library opens a real pool anew, which lies in simulated memory.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "morsel/morsel.hpp"
#include "sim/stores/log.h"  // IWYU pragma: export

namespace morsel::sim {

/// Changes the structure. It calls Log::Note() to say what it promises from then on: whatever crash
/// comes later, the promise must be kept. After a crash it may be called again, to go on.
using Workload = std::function<void(Morsel& morsel, Log& log)>;

/// Repairs the structure after a crash, or makes it the first time, when there is nothing yet. Then
/// it compares the structure with what the log promises, and returns a message if a promise is
/// broken, else an empty string. What it notes in the log is a promise, too.
using RecoverAndCheck = std::function<std::string(Morsel& morsel, Log& log)>;

struct ExploreOptions {
  uint64_t seed = 1;  ///< MORSEL_SEED in the environment takes precedence
  /// In a row: 1 crashes the workloads only, 2 also the recovery and what runs after it.
  uint32_t crashes = 2;
  uint64_t images_max = 4096;        ///< tried at one point of the first run; beyond it, a sample
  uint64_t later_images_max = 16;    ///< the same, in what runs after a crash
  uint64_t crash_again_one_in = 16;  ///< of the recoveries, one in so many is crashed again
  uint64_t schedules = 16;           ///< interleavings that are tried of several workloads
  double seconds = 30;  ///< it stops then; MORSEL_PROOF_SECONDS in the environment takes precedence
  uint64_t capacity_bytes = uint64_t{2} << 20;  ///< the morsel's capacity and size
};

struct ExploreReport {
  bool ok = false;  ///< no crash broke a promise
  /// What was explored. After a failure: what was found after which crash, with the source lines of
  /// the stores that the crash lost.
  std::string text;
  uint64_t images = 0;  ///< states after a power cut that were recovered from
};

/// What explore() calls: use that name. These two stay for programs that use them already.
ExploreReport Explore(const Workload& workload, const RecoverAndCheck& recover_and_check,
                      const ExploreOptions& options = {});
ExploreReport Explore(const std::vector<Workload>& workloads,
                      const RecoverAndCheck& recover_and_check, const ExploreOptions& options = {});

/// Tries crashes between all stores of the workload, until one breaks a promise, all have been
/// tried or the time is over.
///
/// Threads  one call at a time.
inline ExploreReport explore(const Workload& workload, const RecoverAndCheck& recover_and_check,
                             const ExploreOptions& options = {}) {
  return Explore(workload, recover_and_check, options);
}

/// The same for one to three workloads, each in a thread of its own. One thread runs at a time;
/// they take turns at atomics, mutexes, flushes and fences, as the seed decides.
inline ExploreReport explore(const std::vector<Workload>& workloads,
                             const RecoverAndCheck& recover_and_check,
                             const ExploreOptions& options = {}) {
  return Explore(workloads, recover_and_check, options);
}

}  // namespace morsel::sim
