// All crashes of an incarnation, of the recoveries from them, and of the recoveries from
// crashes of those, by as few of them as recovery can tell apart.
//
// CoverDisks() says which disks stand for all that one crash may leave. Here what recovers on each
// of them is crashed in turn, at each of its own points, and so on: a tree of recoveries.
//
// [CRT-1] What recovery does follows from what it reads: names, sizes and permission bits, all of
//         which a key holds, and sectors, which are recorded. On two disks that agree in those it
//         makes the same calls. What these leave undecided is then the same too, except in
//         sectors in which the disks differ (what is zeroed may have been zero on one of them).
// [CRT-2] So the sectors that count for a disk are those that its recovery reads, and those that
//         are read in any branch below. Disks that agree in all of them have the same tree: in a
//         branch the sectors in which they differ are not read either, whatever was lost of them.
//         All those sectors, not its own only, are what a recovery answers CoverDisks(), which
//         decides each of them otherwise; and a tree is remembered by what they held, for other
//         disks, points and scripts. A disk that has something undecided after a kill is
//         remembered as it is.
// [CRT-3] Power cuts are tried where a sync comes or something is promised: between two such points
//         there are only more disks possible, and nothing more is demanded. Kills are tried after
//         each call that changed something, and at each promise: what was visible then is what
//         recovery works with, and a later power cut takes away from under it. Where nothing is
//         undecided a kill leaves what a power cut leaves.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sim/disk/disk_cover.h"
#include "sim/disk/file_incarnation.h"

namespace morsel::sim {

/// Of the crashes of incarnations after so many crashes: 0 those of a first incarnation, 1 those in
/// recovery, 2 those in the recovery of that.
struct CoverCounts {
  uint64_t points = 0;    ///< at which power is cut
  uint64_t whole = 0;     ///< of those, points all disks of which are stood for
  uint64_t disks = 0;     ///< that stand for them
  double disks_log2 = 0;  ///< the most that were stood for at one point
  uint64_t kills = 0;
  uint64_t incarnations = 0;  ///< recoveries after either, those that are alike once
};

/// "; all disks at 7 points of 7 ..."; empty where there are none.
std::string InWords(const std::vector<CoverCounts>& counts);

class CrashTree {
 public:
  /// Recovers, and nothing else; answers nothing where no more is to be tried.
  using Recovery = std::function<std::optional<FileIncarnation>(const FilePast& past)>;

  /// `crashes` in a row are tried, at each point `disks_max` disks.
  CrashTree(size_t crashes, uint64_t disks_max, std::mt19937_64& random, Recovery recovery)
      : crashes_(crashes), disks_max_(disks_max), random_(random), recovery_(std::move(recovery)) {}

  /// Tries all crashes of a point of a first incarnation; false where `recovery` answered nothing.
  bool Crash(const FilePoint& point);

  const std::vector<CoverCounts>& counts() const { return counts_; }

  /// What was lost in the crashes that led to the last answer of nothing.
  void TellLost(std::vector<DiskCrash>& crashes) const;

 private:
  /// Promises, names with modes and sizes, and how many crashes are tried below.
  using Key = std::tuple<uint64_t, uint64_t, size_t>;
  /// Sectors that counted for some disks, and what these held there.
  struct Known {
    SectorsRead sectors;
    std::unordered_set<uint64_t> held;
  };

  std::optional<SectorsRead> Recover(const FilePast& past);
  std::optional<SectorsRead> Branch(const FilePast& past);
  bool CrashAt(const FilePoint& point, SectorsRead& read);
  bool CutAt(const FilePoint& point, SectorsRead& read);
  bool KillAt(const FilePoint& point, SectorsRead& read);
  CoverCounts& CountsAfter(size_t crashes);

  size_t crashes_;
  uint64_t disks_max_;
  std::mt19937_64& random_;
  Recovery recovery_;
  std::vector<CoverCounts> counts_;
  std::map<Key, std::vector<Known>> known_;
  std::unordered_map<uint64_t, SectorsRead> known_after_kills_;
  std::unordered_set<uint64_t> known_points_;
  std::map<size_t, std::vector<LostCall>> lost_;
};

}  // namespace morsel::sim
