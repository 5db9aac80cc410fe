// What exploring is, whatever the medium: how much of what is possible is tried, and counted; which
// scripts; which states are known; and how a failure is made small and told. The explorers of
// stores (sim/stores) and of disks (sim/disk) add the events between which their crashes come.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/model/failure.h"

namespace morsel::sim {

/// How much of what is possible is tried.
struct Effort {
  /// The most images that are tried at one point. Where there are more, a sample is tried.
  uint64_t images_max = 4096;
  uint64_t later_images_max = 64;  ///< the same limit, in incarnations after a crash
  /// One in this many of the incarnations after a crash is crashed again.
  uint64_t crash_again_one_in = 1;
  /// Of disks: the same limit, in incarnations with a failing call.
  uint64_t faulted_images_max = 8;
  /// Of disks: the most at each point where a CrashTree tries all crashes of a first incarnation
  /// as well; 0: it does not.
  uint64_t covered_max = 0;
  uint64_t covered_crashes = 1;  ///< in a row, by the CrashTree; 2 crash recovery, too
  /// Of disks: one in this many of the incarnations after a crash continues after recovery.
  uint64_t go_on_one_in = 1;

  friend bool operator==(const Effort&, const Effort&) = default;
};

struct Options {
  uint64_t seed = 1;
  /// Crashes in a row. 1 crashes the workload only; 2 crashes the incarnation after that, too.
  uint32_t crashes = 2;
  Effort effort;                    ///< at first
  Effort most = effort;             ///< the most that Deepen() uses
  bool kills = true;                ///< of stores; of disks they are always tried
  bool strict = false;              ///< of stores: one without a hook is a failure
  uint64_t schedules = 16;          ///< that are tried of a script of several threads
  uint64_t scripts = ~uint64_t{0};  ///< the most of ExploreRandom()
  bool print_failure = true;        ///< on standard error
  double seconds = 1e9;             ///< of exploring; what was found until then is valid
  bool uses_all_seconds = false;    ///< there is always more to try than time allows
};

/// Returns `quick` with the seed of MORSEL_SEED and the seconds of MORSEL_PROOF_SECONDS, where they
/// are set. With the latter and `most`, it uses all these seconds, for efforts up to `most` and as
/// many scripts as there is time for.
Options FromEnvironment(const Options& quick, const std::optional<Effort>& most = {});

/// Whether MORSEL_PROOF_SECONDS is set. Whoever sets it wants as much as there is time for.
bool Thorough();

struct Counts {
  uint64_t scripts = 0;
  uint64_t incarnations = 0;
  uint64_t images = 0;         ///< of power cuts that were recovered from
  uint64_t kills = 0;          ///< that were recovered from
  uint64_t later_crashes = 0;  ///< power cuts and kills in an incarnation after a crash
  uint64_t faults = 0;         ///< incarnations with a call that failed
  uint64_t known = 0;          ///< states that were tried before, with the same promises
  uint64_t events = 0;
  bool cut_short = false;  ///< `seconds` were over
};

class Exploration {
 public:
  virtual ~Exploration() = default;
  Exploration(const Exploration&) = delete;
  Exploration& operator=(const Exploration&) = delete;

  /// Returns false at the first failure. It has then been minimised, kept in a file and printed
  /// with its seed. What was explored for an earlier script is not explored again.
  bool Explore(const Script& script);

  /// Explores every sequence of 1 .. length_max of the operations 0 .. operations - 1, in one
  /// thread.
  bool ExploreSequences(uint32_t operations, uint32_t length_max);
  /// Explores every sequence of this length. It includes all crashes of the shorter sequences. The
  /// seed decides the order, so that a run without time for all of them is a sample.
  bool ExploreSequencesOf(uint32_t operations, uint32_t length);

  /// Explores random sequences in one thread, as many as the options say and time allows: each gets
  /// operations until `is_enough`, or has length_min .. length_max of them.
  bool ExploreRandom(uint32_t operations,
                     const std::function<bool(const std::vector<uint32_t>&)>& is_enough);
  bool ExploreRandom(uint32_t operations, uint32_t length_min, uint32_t length_max);

  /// Calls `explore` with the first effort and then, while `seconds` last, with more and more, up
  /// to the most. Returns whether nothing failed.
  bool Deepen(const std::function<bool()>& explore);

  const Counts& counts() const { return counts_; }
  const std::optional<Failure>& failure() const { return failure_; }

  /// "proof: TARGET, STATES states, CRASHES crashes in recovery, SECONDS s", and all that was
  /// counted. A state is what a power cut or a kill left and was recovered from.
  std::string Summary() const;

 protected:
  enum class Voice { kQuiet, kLoud };  ///< one that is quiet prints, keeps and minimises nothing

  Exploration(std::string target, const Options& options, Voice voice);

  /// Explores all crashes of a script. Notes what fails with Fail().
  virtual bool ExploreScript(const Script& script) = 0;
  /// Whether this script fails by itself, too. If so, that is the failure from now on.
  virtual bool FailsAlso(const Script& script, const Options& options) = 0;
  /// Keeps what the failing incarnation found. Returns where, or nothing.
  virtual std::string Keep() = 0;
  virtual std::string NameOf(uint32_t operation) const = 0;
  virtual std::string MoreInSummary() const { return {}; }

  /// Notes a failure, of the script that is explored now. Returns false.
  bool Fail(std::string message, std::vector<Crash> crashes);
  /// Reports the failure, unless all is good. Returns `good`.
  bool Conclude(bool good);
  /// Whether a state, of this hash, has not been explored with as many crashes left, nor with none
  /// of them `again`.
  bool IsNew(uint64_t hash, size_t crashes_left, bool again = true);
  bool OutOfTime();

  Options options_;
  std::mt19937_64 random_;
  Counts counts_;
  std::optional<Failure> failure_;
  Voice voice_;
  Script script_;  ///< of the first incarnation
  uint64_t schedule_ = 0;

 private:
  struct Known {
    size_t crashes_left;
    bool again;
  };

  bool ExploreEach(const std::function<std::vector<uint32_t>()>& next);
  bool LosesPart(size_t thread, size_t count, const Options& options,
                 std::chrono::steady_clock::time_point deadline);
  void LoseCrashesAndOperations();

  std::string target_name_;
  std::unordered_map<uint64_t, Known> known_;  ///< by hash
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace morsel::sim
