#include "sim/disk/file_incarnation.h"

#include <algorithm>

namespace morsel::sim {
namespace {

std::vector<std::pair<NodeId, size_t>> ChangedBy(const TracedCall& call) {
  std::vector<std::pair<NodeId, size_t>> changed;
  for (const auto& [node, change] : call.changes) {
    const auto is_it = [id = node](const auto& other) { return other.first == id; };
    if (std::any_of(changed.begin(), changed.end(), is_it)) continue;
    const auto count = std::count_if(call.changes.begin(), call.changes.end(), is_it);
    changed.emplace_back(node, static_cast<size_t>(count));
  }
  return changed;
}

}  // namespace

bool ForEachPoint(const FilePast& past, const FileIncarnation& incarnation, size_t first,
                  const std::function<bool(const FilePoint& point)>& visit) {
  Disk disk = past.disk;
  Promises promises = past.promises;
  DiskCrash crash;
  size_t next = 0;
  for (size_t i = 0; i <= incarnation.calls.size(); ++i) {
    bool settles = false;
    Promises demanded = promises;
    for (; next < incarnation.promises.size() && incarnation.promises[next].calls == i; ++next) {
      promises = incarnation.promises[next].promises;
      // What is only begun allows more and demands nothing: what was right is right.
      if (incarnation.promises[next].settles) demanded = promises;
      settles = settles || incarnation.promises[next].settles;
    }
    settles = (settles || (first > 0 && i == incarnation.calls.size())) && i >= first;
    // Until a sync there are only more images, and nothing more is promised.
    const bool decides =
        settles || (i < incarnation.calls.size() && incarnation.calls[i].synced.has_value());
    const Promises& held_against = settles ? demanded : promises;
    if (decides && !visit({past, disk, held_against, crash, {}, settles, decides})) return false;
    if (i == incarnation.calls.size()) break;
    const TracedCall& call = incarnation.calls[i];
    Replay(call, disk);
    ++crash.calls;
    crash.newest = call.site;
    std::vector<std::pair<NodeId, size_t>> newest = ChangedBy(call);
    if (newest.empty() || i < first) continue;
    if (!visit({past, disk, promises, crash, std::move(newest), false, false})) return false;
  }
  return true;
}

}  // namespace morsel::sim
