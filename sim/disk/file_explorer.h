// Lets a target live on a simulated disk, crash in every way that the model allows,
// recover, go on and crash again, with calls that fail, and tells the first way in
// which it does not get over it.
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

/// Under a sanitizer few crashes are: it sees what calls do, and has nothing to say of what a disk
/// loses.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool kTriesAllCrashes = false;
#else
inline constexpr bool kTriesAllCrashes = true;
#endif

/// How much of what may be is looked at.
struct Effort {
  /// Images at one point, before a sample is taken.
  uint64_t images_max = 4096;
  /// Where all crashes of a first incarnation are tried as well, as CrashTree does: so many disks
  /// at each point; 0: not.
  uint64_t covered_max = 0;
  uint64_t covered_crashes = 1;     ///< in a row, of those: 2 crashes recovery, too
  uint64_t later_images_max = 8;    ///< the same, in incarnations after a crash
  uint64_t faulted_images_max = 8;  ///< the same, in incarnations with a call that fails
  /// Of the incarnations after a crash, one in so many goes on after recovery.
  uint64_t go_on_one_in = 1;
  /// Of the incarnations after a crash, one in so many is crashed again.
  uint64_t crash_again_one_in = 1;

  friend bool operator==(const Effort&, const Effort&) = default;
};

struct FileOptions {
  uint64_t seed = 1;
  /// Crashes in a row.
  uint32_t crashes = 2;
  Effort effort;                  ///< to begin with
  Effort most = effort;           ///< what Deepen() comes to
  uint64_t scripts = 1;           ///< of ExploreRandom()
  double seconds = 1e9;           ///< until it stops, with the truth that it has told so far
  bool uses_all_seconds = false;  ///< there is more to be tried than there is time for
};

/// `quick` with the seed of MORSEL_SEED where that is set. Where MORSEL_PROOF_SECONDS is, those
/// seconds, efforts up to `most`, and as many scripts as there is time for.
FileOptions FileOptionsFor(FileOptions quick, const Effort& most);

struct FileCounts {
  uint64_t scripts = 0;
  uint64_t images = 0;         ///< of power cuts and kills, that were recovered from
  uint64_t later_crashes = 0;  ///< of those, in an incarnation after a crash
  uint64_t faults = 0;         ///< incarnations with a call that failed
  uint64_t known = 0;          ///< images met again, with the same promises
  bool cut_short = false;      ///< by `seconds`
};

class FileExplorer {
 public:
  /// The target outlives it.
  FileExplorer(FileTarget& target, const FileOptions& options);
  FileExplorer(const FileExplorer&) = delete;
  FileExplorer& operator=(const FileExplorer&) = delete;

  /// False at the first failure, which has been minimised, kept and printed, with the seed. What
  /// was explored for an earlier script is not explored again.
  bool Explore(const FileScript& script);

  /// Every sequence of `length` operations, and so every shorter one, since crashes come
  /// everywhere.
  bool ExploreSequences(uint32_t length);

  /// As many sequences as the options say, each of random operations until it is enough.
  bool ExploreRandom(const std::function<bool(const FileScript& script)>& is_enough);
  bool ExploreRandom(uint32_t length);

  /// The script with each of its calls failing in each way, alone and with all that follow, and
  /// crashes from there on.
  bool ExploreFaults(const FileScript& script);

  /// Calls `explore` with the effort to begin with, then, while `seconds` last, with more and more,
  /// up to the most. Answers whether nothing failed.
  bool Deepen(const std::function<bool()>& explore);

  const FileCounts& counts() const { return counts_; }
  /// By how many crashes came before.
  const std::vector<CoverCounts>& covers() const { return tree_.counts(); }
  const std::optional<FileFailure>& failure() const { return failure_; }

  /// A message where not all crashes of the first incarnations were tried, as many in a row as the
  /// effort says, or some were a sample; not under a sanitizer.
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
  /// What the tree of crashes asks for.
  std::optional<FileIncarnation> RecoverReadingAll(const FilePast& past);
  bool AfterPowerCut(const FilePoint& point, const std::vector<Question>& questions,
                     const Answers& answers);
  bool AfterKill(const FilePoint& point);
  FileScript HowItGoesOn();
  /// Whether `past` is to be lived on from: not if it has been already. Decides whether that
  /// crashes again.
  bool IsNew(FilePast& past, const DiskCrash& crash);
  bool Fail(const FilePast& past, std::string message);
  /// The answers with as much kept as the failure allows.
  Answers LoseLess(const FilePoint& point, const std::vector<Question>& questions, Answers answers,
                   const FileScript& script);
  void LoseOperations();
  /// Tells of a failure.
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
