// An incarnation on a simulated disk: what it found, what it did, and the points at which a crash
// may end it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/disk/disk_choices.h"
#include "sim/disk/file_target.h"

namespace morsel::sim {

struct DiskCrash {
  bool kill = false;   ///< only the process died: the disk keeps what is visible
  uint64_t calls = 0;  ///< how many calls that changed something precede it
  std::shared_ptr<const CallSite> newest;  ///< the last of them
  std::vector<LostCall> lost;
};

/// What an incarnation begins with.
struct FilePast {
  Disk disk;  ///< after a kill, with what is still undecided
  Promises promises;
  std::vector<DiskCrash> crashes;
  Fault fault;
  bool crashes_again = true;
};

/// What an incarnation did.
struct FileIncarnation {
  std::string failure;
  std::vector<TracedCall> calls;
  std::vector<TracedPromise> promises;
  std::vector<CallKind> kinds;
  std::optional<size_t> struck_at;  ///< the call that failed, if one did
  SectorsRead read;
};

/// A point between two calls of an incarnation.
struct FilePoint {
  const FilePast& past;
  const Disk& disk;
  const Promises& promises;
  DiskCrash crash;
  /// For each node that the preceding call changed, how many of the node's last changes that call
  /// made. Empty at a point at which something was promised or a sync comes.
  std::vector<std::pair<NodeId, size_t>> newest;
  bool settles = false;  ///< something is promised that was not before
  /// A sync or a promise comes next. Whatever a power cut may have left since the last such point,
  /// it may leave here.
  bool decides = false;
};

/// Calls `visit` with each point at which a crash may leave something new, until it returns false.
/// Returns whether it never did. It skips the first `first` calls.
bool ForEachPoint(const FilePast& past, const FileIncarnation& incarnation, size_t first,
                  const std::function<bool(const FilePoint& point)>& visit);

}  // namespace morsel::sim
