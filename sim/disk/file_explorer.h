// Runs a target on a simulated disk, crashes it in every way that the model allows, lets it
// recover, continues and crashes it again; calls may fail, too. Reports the first crash from which
// the target does not recover as it promised.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/disk/crash_tree.h"
#include "sim/disk/file_incarnation.h"
#include "sim/disk/file_target.h"
#include "sim/disk/sandbox.h"
#include "sim/model/exploration.h"

namespace morsel::sim {

/// Under a sanitizer few crashes are tried. It checks what calls do; what a disk loses does not
/// concern it.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool kTriesAllCrashes = false;
#else
inline constexpr bool kTriesAllCrashes = true;
#endif

/// FromEnvironment(), of fewer crashes under a sanitizer.
Options FileOptionsFor(Options quick, const Effort& most);

class FileExplorer : public Exploration {
 public:
  /// The target must outlive the explorer.
  FileExplorer(FileTarget& target, const Options& options);

  /// Explores the script with each of its calls failing in each way, alone and together with all
  /// calls that follow, and tries crashes from there on.
  bool ExploreFaults(const FileScript& script);

  /// Indexed by how many crashes came before.
  const std::vector<CoverCounts>& covers() const { return tree_.counts(); }

  /// Returns a message if some crashes of the first incarnations were not tried, up to as many in a
  /// row as the effort says, or if some were sampled. Under a sanitizer it returns none.
  std::string NotCovered() const;

 private:
  FileExplorer(FileTarget& target, const Options& options, Voice voice);

  bool ExploreScript(const Script& script) override;
  bool FailsAlso(const Script& script, const Options& options) override;
  std::string Keep() override;
  std::string NameOf(uint32_t operation) const override { return target_.NameOf(operation); }
  std::string MoreInSummary() const override { return InWords(covers()); }

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
  bool ContinuesFrom(FilePast& past, const DiskCrash& crash);
  bool FailIn(const FilePast& past, std::string message);
  /// The answers that keep as much as they can and still fail.
  Answers LoseLess(const FilePoint& point, const std::vector<Question>& questions, Answers answers,
                   const FileScript& script);

  FileTarget& target_;
  Sandbox sandbox_;
  CrashTree tree_;
  Fault fault_;  ///< of the first incarnation of the failure
  Disk found_;   ///< by the failing incarnation
};

}  // namespace morsel::sim
