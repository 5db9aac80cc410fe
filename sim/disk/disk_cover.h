// All disks that a power cut may leave, by as few of them as recovery can tell apart.
//
// Recovery does what it does because of what it reads. So of each disk that is recovered from it is
// recorded which sectors are read; all disks that have the same there are recovered from in the
// same way, whatever else was lost or kept, and need not be tried. Then each undecided sector that
// was read is decided otherwise, one after the other, with those before it as they were: that
// divides the others into parts, of which each is treated alike. Sizes, modes and names are read by
// calls that nobody records: they are decided in every way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "sim/disk/disk_choices.h"

namespace morsel::sim {

/// Of each file, by sector.
using SectorsRead = std::map<NodeId, std::vector<bool>>;

struct Cover {
  uint64_t tried = 0;      ///< disks
  double images_log2 = 0;  ///< of those that they stand for
  /// False: `tried_max` came first; or of a sector that is read two writes are undecided that do
  /// not fill it, of which the order would have to be decided, too. Where they fill it, the last
  /// one in any order is what one of them leaves alone, and that is tried.
  bool is_whole = true;
  bool gave_up = false;        ///< `recover` answered nothing,
  std::vector<LostCall> lost;  ///< for a disk that this is not on
};

/// Calls `recover` with disks until it answers nothing; what it read otherwise. What is lost of
/// sectors that have not been asked for is as `random` decides.
Cover CoverDisks(const Disk& disk, uint64_t tried_max, std::mt19937_64& random,
                 const std::function<std::optional<SectorsRead>(const Disk& decided)>& recover);

}  // namespace morsel::sim
