// For tests of programs: lets code that keeps a structure in a morsel of the fine
// contract crash in every way that persistent memory allows, and shows whether it
// recovers.
//
//   auto report = morsel::sim::Explore(
//       [](morsel::Morsel& morsel, morsel::sim::Log& log) { ... change it ... },
//       [](morsel::Morsel& morsel, morsel::sim::Log& log) -> std::string { ... check it ... });
//   if (!report.ok) std::cerr << report.text;
//
// The program is compiled and linked with the flags of `pkg-config morsel-sim`: they let the
// compiler announce every store, and link an instrumented build of the library. Nothing is mocked:
// the library below opens a pool, which is simulated memory, anew after each crash.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "morsel/morsel.hpp"
#include "sim/stores/log.h"  // IWYU pragma: export

namespace morsel::sim {

/// Changes the structure. Log::Note() says what is promised from then on: a crash that comes later
/// must keep it. It may be called again after a crash, to go on.
using Workload = std::function<void(Morsel& morsel, Log& log)>;

/// Brings the structure in order after a crash (or makes it: at first there is nothing) and answers
/// a sentence if it is not what the log promises, else nothing. What it notes counts as the
/// workload's notes do.
using RecoverAndCheck = std::function<std::string(Morsel& morsel, Log& log)>;

struct ExploreOptions {
  uint64_t seed = 1;           ///< MORSEL_SIM_SEED in the environment goes before
  uint32_t crashes = 2;        ///< in a row: 1 of the workload, and of recovery and what follows
  uint64_t images_max = 4096;  ///< at one point, before a sample is taken
  uint64_t later_images_max = 16;
  uint64_t crash_again_one_in = 16;  ///< of the recoveries
  uint64_t schedules = 16;           ///< interleavings that are tried of several workloads
  double seconds = 30;               ///< MORSEL_PROOF_SECONDS in the environment goes before
  uint64_t capacity_bytes = uint64_t{2} << 20;  ///< of the morsel; its size, too
};

struct ExploreReport {
  bool ok = false;
  /// What was explored; of a failure: what was found after which crash, with the source lines of
  /// the stores that it lost.
  std::string text;
  uint64_t images = 0;  ///< that were recovered from
};

/// Tries crashes between all stores of the workload. One call at a time.
ExploreReport Explore(const Workload& workload, const RecoverAndCheck& recover_and_check,
                      const ExploreOptions& options = {});

/// Of up to three workloads, each in a thread of its own. One thread runs at a time; they take
/// turns at atomics, mutexes, flushes and fences, as the seed decides.
ExploreReport Explore(const std::vector<Workload>& workloads,
                      const RecoverAndCheck& recover_and_check, const ExploreOptions& options = {});

}  // namespace morsel::sim
