// Tries all crashes of an incarnation, of the recoveries from them, and of the recoveries from
// crashes of those. It tries only as many as recovery can tell apart.
//
// CoverDisks() finds disks that stand for all that one crash may leave. A CrashTree crashes the
// recovery on each of these disks in turn, at each point of that recovery, and so on. That is a
// tree of recoveries.
//
// [CRT-1] What recovery does follows from what it reads: names, sizes and permission bits, which
//         are all in a key, and sectors, which are recorded. It makes the same calls on two disks
//         that agree in those. What these calls leave undecided is then the same, too, except in
//         sectors in which the disks differ (what is zeroed may have been zero on one of them).
// [CRT-2] So the sectors that count for a disk are those that its recovery reads and those that are
//         read in any branch below. Disks that agree in all of them have the same tree: the sectors
//         in which they differ are not read in a branch either, whatever was lost of them. A
//         recovery returns all these sectors to CoverDisks(), not only its own, and CoverDisks()
//         decides each of them the other way, too. A tree is remembered by what these sectors held,
//         and is not tried again for other disks, points and scripts. A disk that has something
//         undecided after a kill is remembered as a whole.
// [CRT-3] Power cuts are tried where a sync comes or something is promised: between two such points
//         more disks become possible, but nothing more is demanded. Kills are tried after each call
//         that changed something, and at each promise: recovery works with what was visible then,
//         and a later power cut takes that away from under it. Where nothing is undecided, a kill
//         leaves what a power cut leaves.
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

/// Counts of the crashes of incarnations that have the same number of crashes before them. 0: of a
/// first incarnation; 1: of recovery; 2: of the recovery from a crash of recovery.
struct CoverCounts {
  uint64_t points = 0;    ///< at which power is cut
  uint64_t whole = 0;     ///< points of which all disks are stood for
  uint64_t disks = 0;     ///< that stand for them
  double disks_log2 = 0;  ///< of the most disks that were stood for at one point
  uint64_t kills = 0;
  uint64_t incarnations = 0;  ///< recoveries after either; equal ones count once
};

/// "; all disks at 7 points of 7 ..."; empty where there are none.
std::string InWords(const std::vector<CoverCounts>& counts);

class CrashTree {
 public:
  /// Recovers and does nothing else. Returns nothing where exploring is to stop.
  using Recovery = std::function<std::optional<FileIncarnation>(const FilePast& past)>;

  /// Tries `crashes` in a row, and at most `disks_max` disks at each point.
  CrashTree(size_t crashes, uint64_t disks_max, std::mt19937_64& random, Recovery recovery)
      : crashes_(crashes), disks_max_(disks_max), random_(random), recovery_(std::move(recovery)) {}

  /// Tries all crashes at a point of a first incarnation. Returns false where `recovery` returned
  /// nothing.
  bool Crash(const FilePoint& point);

  const std::vector<CoverCounts>& counts() const { return counts_; }

  /// What was lost in each of the crashes that led to the recovery which returned nothing last, by
  /// how many crashes came before.
  const std::map<size_t, std::vector<LostCall>>& lost() const { return lost_; }

 private:
  /// Hashes of the promises and of names with modes and sizes; how many crashes are tried below.
  using Key = std::tuple<uint64_t, uint64_t, size_t>;
  /// The sectors that counted for some disks, and what these disks held there.
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
