// Lets a target live, crash in every way that the model allows, recover, go on and
// crash again, and tells the first way in which it does not get over it.
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
  /// Crashes in a row: 1 is a crash of the workload, 2 also one in the incarnation after it.
  uint32_t crashes = 2;
  /// Images at one point, before a sample is taken.
  uint64_t images_max = 4096;
  uint64_t later_images_max = 64;  ///< the same, in incarnations after a crash
  /// Of the incarnations after a crash, one in so many is crashed again.
  uint64_t crash_again_one_in = 1;
  bool kills = true;
  /// Stores without a hook are failures.
  bool strict = false;
  /// Schedules for a script of several threads.
  uint64_t schedules = 16;
  bool print_failure = true;  ///< a failure, on standard error
  double seconds = 1e9;       ///< until it stops, with the truth that it has told so far
};

/// `seed` and `seconds` from MORSEL_SIM_SEED and MORSEL_PROOF_SECONDS, where they are set.
Options FromEnvironment(Options options);

/// Whether MORSEL_PROOF_SECONDS is set: whoever sets it wants all that there is time for.
bool Thorough();

struct Counts {
  uint64_t scripts = 0;
  uint64_t incarnations = 0;
  uint64_t images = 0;         ///< of power cuts, that were recovered from
  uint64_t kills = 0;          ///< likewise
  uint64_t later_crashes = 0;  ///< of both, those in an incarnation after a crash
  uint64_t known = 0;          ///< images met again, with the same promises
  uint64_t events = 0;
  bool cut_short = false;  ///< by `seconds`
};

class Explorer {
 public:
  /// Prepares the medium. The target outlives it.
  Explorer(Target& target, Options options);
  Explorer(const Explorer&) = delete;
  Explorer& operator=(const Explorer&) = delete;

  /// False at the first failure, which has been minimised, kept and printed, with the seed. What
  /// was explored for an earlier script is not explored again.
  bool Explore(const Script& script);

  /// Every sequence of 1 .. length_max of the operations 0 .. operations - 1, in one thread.
  bool ExploreSequences(uint32_t operations, uint32_t length_max);
  /// Every one of that length, which has all crashes of the shorter ones, too; in an order that the
  /// seed decides, for where there is no time for all.
  bool ExploreSequencesOf(uint32_t operations, uint32_t length);

  /// Sequences of length_min .. length_max of the operations 0 .. operations - 1, at random, in one
  /// thread, until the time is over.
  bool ExploreRandom(uint32_t operations, uint32_t length_min, uint32_t length_max);

  /// From now on scripts of several threads meet other schedules.
  void ChangeSchedules() { first_schedule_ += options_.schedules; }

  const Counts& counts() const { return counts_; }
  const std::optional<Failure>& failure() const { return failure_; }

  /// One line about all of it.
  std::string Summary() const;

 private:
  /// Of one incarnation and what came before it.
  struct Past {
    MediumState medium;
    Log log;
    std::vector<CrashPoint> crashes;
    std::set<std::string> answers;  ///< that the last incarnation gave; empty: any is right
  };

  /// Over the medium that `watching` has from another explorer; tells and keeps nothing.
  Explorer(Target& target, Options options, Recorder& watching);

  bool ExploreIncarnation(const Past& past, const Script& script, uint64_t schedule);
  bool Walk(Past past, const Incarnation& incarnation, const Log& log);
  bool CrashAt(const Past& past, const MediumState& state, std::optional<LineNumber> newest,
               const Log& log, const CrashPoint& at);
  bool AfterPowerCut(const Past& past, const MediumState& state, const Choice& choice,
                     const Log& log, const CrashPoint& at);
  bool AfterKill(const Past& past, const MediumState& state, const Log& log, const CrashPoint& at);
  /// Whether a state with these promises is new, for so many more crashes.
  bool IsNew(uint64_t state, const Log& log, uint32_t crashes_left);
  /// The choice with as many stores as the failure allows.
  Choice LoseLess(const Past& past, const MediumState& state, Choice choice, const Log& log,
                  uint64_t pick);
  /// Whether that fails, too; if so, it is the failure from now on.
  bool FailsAlso(const Script& script, Options options);
  void LoseCrashesAndOperations();
  void Report();
  bool OutOfTime();

  Target& target_;
  Options options_;
  IncarnationRunner runner_;
  std::mt19937_64 random_;
  Counts counts_;
  std::unordered_map<uint64_t, uint32_t> known_;  ///< crashes that were left, by state and promises
  std::optional<Failure> failure_;
  bool quiet_ = false;
  Script script_;  ///< of the first incarnation
  uint64_t schedule_ = 0;
  uint64_t first_schedule_;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace morsel::sim
