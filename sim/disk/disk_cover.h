// Tries all disks that a power cut may leave, by only as many as recovery can tell apart.
//
// What recovery does follows from what it reads. So for each disk that is tried, the sectors that
// recovery reads are recorded. All disks that hold the same in these sectors are recovered from in
// the same way, whatever else was lost or kept, and need not be tried. Then each undecided sector
// that was read gets each other content that it may have, one sector after the other, with those
// before it unchanged. That divides the remaining disks into parts, and each part is treated alike.
// Writes of the same bytes are one content: what counts is what a sector holds, not which of its
// writes put it there. Sizes, modes and names
// are read by calls that nobody records, so they are decided in every way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "sim/disk/disk_choices.h"

namespace morsel::sim {

/// For each file, whether each sector was read.
using SectorsRead = std::map<NodeId, std::vector<bool>>;

struct Cover {
  uint64_t tried = 0;      ///< disks
  double images_log2 = 0;  ///< of the disks that they stand for
  /// False if `tried_max` came first, or if a sector that is read has two undecided writes that do
  /// not fill it: their order would have to be decided, too. Where writes fill the sector, any
  /// order leaves what the last of them leaves alone, and that is tried.
  bool is_whole = true;
  bool gave_up = false;        ///< `recover` returned nothing
  std::vector<LostCall> lost;  ///< what was lost of that disk
};

/// Calls `recover` with disks until it returns nothing. Else it returns what it read. `random`
/// decides what is lost of sectors that were not read.
Cover CoverDisks(const Disk& disk, uint64_t tried_max, std::mt19937_64& random,
                 const std::function<std::optional<SectorsRead>(const Disk& decided)>& recover);

}  // namespace morsel::sim
