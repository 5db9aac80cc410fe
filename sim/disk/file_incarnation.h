// An incarnation on a simulated disk, from what it found to what it did, and the moments at
// which a crash may end it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/disk/file_failure.h"

namespace morsel::sim {

/// What an incarnation begins with.
struct FilePast {
  Disk disk;  ///< after a kill with what is undecided still
  Promises promises;
  std::vector<DiskCrash> crashes;
  Fault fault;
  bool crashes_again = true;
};

/// What came of it.
struct FileIncarnation {
  std::string failure;
  std::vector<TracedCall> calls;
  std::vector<TracedPromise> promises;
  std::vector<CallKind> kinds;
  std::optional<size_t> struck_at;  ///< the call that failed, if one did
  SectorsRead read;
};

/// Between two of its calls.
struct FilePoint {
  const FilePast& past;
  const Disk& disk;
  const Promises& promises;
  DiskCrash crash;
  /// Of which nodes how many changes, the last, are of the call that came before. Empty: the point
  /// is one at which something was promised, or a sync comes.
  std::vector<std::pair<NodeId, size_t>> newest;
  bool settles = false;  ///< something is promised that was not before
  /// A sync or a promise follows what was done: whatever a power cut may have left since the last
  /// such point, it may leave here.
  bool decides = false;
};

/// Calls `visit` with each point at which a crash may leave what it could not before, until it
/// answers false; says whether it never did. `first`: of the calls before so many there is nothing
/// to say.
bool ForEachPoint(const FilePast& past, const FileIncarnation& incarnation, size_t first,
                  const std::function<bool(const FilePoint& point)>& visit);

}  // namespace morsel::sim
