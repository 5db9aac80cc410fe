// Runs a target on a simulated disk, crashes it in every way that the model allows, lets it
// recover, continues and crashes it again; calls may fail, too. Reports the first crash from which
// the target does not recover as it promised.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/disk/crash_tree.h"
#include "sim/disk/file_failure.h"
#include "sim/disk/file_incarnation.h"
#include "sim/disk/file_target.h"
#include "sim/disk/sandbox.h"

namespace morsel::sim {

/// Under a sanitizer few crashes are tried. It checks what calls do; what a disk loses does not
/// concern it.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool kTriesAllCrashes = false;
#else
inline constexpr bool kTriesAllCrashes = true;
#endif

/// How much of what is possible is tried.
struct Effort {
  /// The most images that are tried at one point. Where there are more, a sample is tried.
  uint64_t images_max = 4096;
  /// The most disks at each point where a CrashTree tries all crashes of a first incarnation as
  /// well; 0: it does not.
  uint64_t covered_max = 0;
  uint64_t covered_crashes = 1;     ///< in a row, by the CrashTree; 2 crash recovery, too
  uint64_t later_images_max = 8;    ///< as images_max, in incarnations after a crash
  uint64_t faulted_images_max = 8;  ///< as images_max, in incarnations with a failing call
  /// One in this many of the incarnations after a crash continues after recovery.
  uint64_t go_on_one_in = 1;
  /// One in this many of the incarnations after a crash is crashed again.
  uint64_t crash_again_one_in = 1;

  friend bool operator==(const Effort&, const Effort&) = default;
};

struct FileOptions {
  uint64_t seed = 1;
  /// Crashes in a row.
  uint32_t crashes = 2;
  Effort effort;                  ///< at first
  Effort most = effort;           ///< the most that Deepen() uses
  uint64_t scripts = 1;           ///< of ExploreRandom()
  double seconds = 1e9;           ///< of exploring; what was found until then is valid
  bool uses_all_seconds = false;  ///< there is always more to try than time allows
};

/// Returns `quick`, with the seed of MORSEL_SEED if that is set. If MORSEL_PROOF_SECONDS is set, it
/// uses those seconds, efforts up to `most`, and as many scripts as there is time for.
FileOptions FileOptionsFor(FileOptions quick, const Effort& most);

struct FileCounts {
  uint64_t scripts = 0;
  uint64_t images = 0;         ///< of power cuts and kills that were recovered from
  uint64_t later_crashes = 0;  ///< those in an incarnation after a crash
  uint64_t faults = 0;         ///< incarnations with a call that failed
  uint64_t known = 0;          ///< images that were tried before, with the same promises
  bool cut_short = false;      ///< `seconds` were over
};

class FileExplorer {
 public:
  /// The target must outlive the explorer.
  FileExplorer(FileTarget& target, const FileOptions& options);
  FileExplorer(const FileExplorer&) = delete;
  FileExplorer& operator=(const FileExplorer&) = delete;

  /// Returns false at the first failure. It has then been minimised, kept in a file and printed
  /// with its seed. What was explored for an earlier script is not explored again.
  bool Explore(const FileScript& script);

  /// Explores every sequence of `length` operations. That includes every shorter one, since crashes
  /// come everywhere.
  bool ExploreSequences(uint32_t length);

  /// Explores as many sequences as the options say. Each gets random operations until `is_enough`.
  bool ExploreRandom(const std::function<bool(const FileScript& script)>& is_enough);
  bool ExploreRandom(uint32_t length);

  /// Explores the script with each of its calls failing in each way, alone and together with all
  /// calls that follow, and tries crashes from there on.
  bool ExploreFaults(const FileScript& script);

  /// Calls `explore` with the first effort and then, while `seconds` last, with more and more, up
  /// to the most. Returns whether nothing failed.
  bool Deepen(const std::function<bool()>& explore);

  const FileCounts& counts() const { return counts_; }
  /// Indexed by how many crashes came before.
  const std::vector<CoverCounts>& covers() const { return tree_.counts(); }
  const std::optional<FileFailure>& failure() const { return failure_; }

  /// Returns a message if some crashes of the first incarnations were not tried, up to as many in a
  /// row as the effort says, or if some were sampled. Under a sanitizer it returns none.
  std::string NotCovered() const;

  /// "proof: TARGET, STATES states, CRASHES crashes in recovery, SECONDS s", and the seed.
  std::string Summary() const;

 private:
  enum class Voice { kQuiet, kLoud };
  FileExplorer(FileTarget& target, const FileOptions& options, Voice voice);

  FileIncarnation RunIncarnation(const FilePast& past, const FileScript& script);
  bool ExploreIncarnation(const FilePast& past, const FileScript& script);
  bool ExploreFault(const FileScript& script, const Fault& fault);
  bool Walk(const FilePast& past, const FileIncarnation& incarnation);
  bool CrashAt(const FilePoint& point, uint64_t images_max);
  bool CoverAt(const FilePoint& point);
  /// The recovery that the CrashTree runs.
  std::optional<FileIncarnation> RecoverReadingAll(const FilePast& past);
  bool AfterPowerCut(const FilePoint& point, const std::vector<Question>& questions,
                     const Answers& answers);
  bool AfterKill(const FilePoint& point);
  FileScript HowItGoesOn();
  /// Whether to continue from `past`: not if that was done already. Also decides whether that
  /// incarnation crashes again.
  bool IsNew(FilePast& past, const DiskCrash& crash);
  bool Fail(const FilePast& past, std::string message);
  /// The answers that keep as much as they can and still fail.
  Answers LoseLess(const FilePoint& point, const std::vector<Question>& questions, Answers answers,
                   const FileScript& script);
  void LoseOperations();
  /// Reports the failure, if there is one.
  bool Conclude(bool good);
  bool OutOfTime();

  FileTarget& target_;
  FileOptions options_;
  Sandbox sandbox_;
  std::mt19937_64 random_;
  FileCounts counts_;
  CrashTree tree_;
  struct Known {
    size_t crashes_left;
    bool crashes_again;
  };
  std::unordered_map<uint64_t, Known> known_;
  std::optional<FileFailure> failure_;
  Voice voice_;
  FileScript script_;
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::time_point deadline_;
};

}  // namespace morsel::sim
