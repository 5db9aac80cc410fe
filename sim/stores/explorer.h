// Runs a target, crashes it in every way that the crash model allows, lets it recover, continues
// and crashes it again. Reports the first crash from which the target does not recover as it
// promised.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/model/crash_model.h"
#include "sim/model/medium_state.h"
#include "sim/stores/failure.h"
#include "sim/stores/incarnation.h"
#include "sim/stores/log.h"
#include "sim/stores/recorder.h"
#include "sim/stores/target.h"

namespace morsel::sim {

struct Options {
  uint64_t seed = 1;
  /// Crashes in a row. 1 crashes the workload only; 2 crashes the incarnation after that, too.
  uint32_t crashes = 2;
  /// The most images that are tried at one point. Where there are more, a sample is tried.
  uint64_t images_max = 4096;
  uint64_t later_images_max = 64;  ///< the same limit, in incarnations after a crash
  /// One in this many of the incarnations after a crash is crashed again.
  uint64_t crash_again_one_in = 1;
  bool kills = true;
  /// Whether a store without a hook is a failure.
  bool strict = false;
  /// How many schedules are tried of a script of several threads.
  uint64_t schedules = 16;
  bool print_failure = true;  ///< on standard error
  double seconds = 1e9;       ///< of exploring; what was found until then is valid
};

/// `seed` and `seconds` from MORSEL_SEED and MORSEL_PROOF_SECONDS, where they are set.
Options FromEnvironment(Options options);

/// Whether MORSEL_PROOF_SECONDS is set. Whoever sets it wants as much as there is time for.
bool Thorough();

struct Counts {
  uint64_t scripts = 0;
  uint64_t incarnations = 0;
  uint64_t images = 0;         ///< of power cuts that were recovered from
  uint64_t kills = 0;          ///< that were recovered from
  uint64_t later_crashes = 0;  ///< power cuts and kills in an incarnation after a crash
  uint64_t known = 0;          ///< images that were tried before, with the same promises
  uint64_t events = 0;
  bool cut_short = false;  ///< `seconds` were over
};

class Explorer {
 public:
  /// Prepares the medium. The target must outlive the explorer.
  Explorer(Target& target, Options options);
  Explorer(const Explorer&) = delete;
  Explorer& operator=(const Explorer&) = delete;

  /// Returns false at the first failure. It has then been minimised, kept in a file and printed
  /// with its seed. What was explored for an earlier script is not explored again.
  bool Explore(const Script& script);

  /// Explores every sequence of 1 .. length_max of the operations 0 .. operations - 1, in one
  /// thread.
  bool ExploreSequences(uint32_t operations, uint32_t length_max);
  /// Explores every sequence of this length. It includes all crashes of the shorter sequences. The
  /// seed decides the order, so that a run without time for all of them is a sample.
  bool ExploreSequencesOf(uint32_t operations, uint32_t length);

  /// Explores random sequences of length_min .. length_max of the operations 0 .. operations - 1,
  /// in one thread, until the time is over.
  bool ExploreRandom(uint32_t operations, uint32_t length_min, uint32_t length_max);

  /// From now on scripts of several threads run under other schedules.
  void ChangeSchedules() { first_schedule_ += options_.schedules; }

  const Counts& counts() const { return counts_; }
  const std::optional<Failure>& failure() const { return failure_; }

  /// One line about everything that was explored.
  std::string Summary() const;

 private:
  /// What an incarnation begins with, and what came before it.
  struct Past {
    MediumState medium;
    Log log;
    std::vector<CrashPoint> crashes;
    std::set<std::string> answers;  ///< of the last incarnation; empty: any is right
  };

  /// Explores the medium that `watching` has from another explorer. It prints and keeps nothing.
  Explorer(Target& target, Options options, Recorder& watching);

  bool ExploreIncarnation(const Past& past, const Script& script, uint64_t schedule);
  bool Walk(Past past, const Incarnation& incarnation, const Log& log);
  bool CrashAt(const Past& past, const MediumState& state, std::optional<LineNumber> newest,
               const Log& log, const CrashPoint& at);
  bool AfterPowerCut(const Past& past, const MediumState& state, const Choice& choice,
                     const Log& log, const CrashPoint& at);
  bool AfterKill(const Past& past, const MediumState& state, const Log& log, const CrashPoint& at);
  /// Whether a state with these promises has not been explored with this many crashes left.
  bool IsNew(uint64_t state, const Log& log, uint32_t crashes_left);
  /// The choice that keeps as many stores as it can and still fails.
  Choice LoseLess(const Past& past, const MediumState& state, Choice choice, const Log& log,
                  uint64_t pick);
  /// Whether this script fails, too. If so, that is the failure from now on.
  bool FailsAlso(const Script& script, Options options);
  void LoseCrashesAndOperations();
  void Report();
  bool OutOfTime();

  Target& target_;
  Options options_;
  IncarnationRunner runner_;
  std::mt19937_64 random_;
  Counts counts_;
  std::unordered_map<uint64_t, uint32_t> known_;  ///< crashes left, by state and promises
  std::optional<Failure> failure_;
  bool quiet_ = false;
  Script script_;  ///< of the first incarnation
  uint64_t schedule_ = 0;
  uint64_t first_schedule_;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace morsel::sim
