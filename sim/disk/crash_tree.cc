#include "sim/disk/crash_tree.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <iterator>
#include <utility>

#include "base/checksum.h"

namespace morsel::sim {
namespace {

constexpr uint64_t kSectorsPerPage = Content::kPageBytes / kSectorBytes;

uint64_t HashOf(const std::vector<uint64_t>& words) {
  return Checksum64(words.data(), words.size() * sizeof(uint64_t));
}

bool HasUndecided(const Disk& disk) {
  return std::any_of(disk.nodes().begin(), disk.nodes().end(),
                     [](const auto& node) { return !node.second.undecided.empty(); });
}

// Of all that names lead to.
void AddStructure(const Disk& disk, NodeId id, std::vector<uint64_t>& words) {
  const Node& node = disk.node(id);
  words.insert(words.end(), {id, node.is_directory, node.visible.mode,
                             node.visible.content.size_bytes(), node.visible.names.size()});
  for (const auto& [name, child] : node.visible.names) {
    words.push_back(Checksum64(name.data(), name.size()));
    AddStructure(disk, child, words);
  }
}

uint64_t StructureHash(const Disk& disk) {
  std::vector<uint64_t> words;
  AddStructure(disk, kRootNode, words);
  return HashOf(words);
}

void AddHeld(const Content& content, const std::vector<bool>& sectors,
             std::vector<uint64_t>& words) {
  for (uint64_t begin = 0; begin < sectors.size(); begin += kSectorsPerPage) {
    const uint64_t end = std::min(begin + kSectorsPerPage, sectors.size());
    const auto from = sectors.begin() + static_cast<ptrdiff_t>(begin);
    const auto to = sectors.begin() + static_cast<ptrdiff_t>(end);
    const uint64_t page = begin / kSectorsPerPage;
    if (end - begin == kSectorsPerPage && std::find(from, to, false) == to) {
      words.push_back(content.PageHash(page));
      continue;
    }
    for (uint64_t sector = begin; sector < end; ++sector) {
      if (!sectors[sector]) continue;
      const uint64_t at = (sector - begin) * kSectorBytes;
      words.push_back(Checksum64(content.PageOrZeros(page).bytes.data() + at, kSectorBytes));
    }
  }
}

// What is visible of the disk in these sectors.
uint64_t HeldIn(const Disk& disk, const SectorsRead& sectors) {
  std::vector<uint64_t> words;
  for (const auto& [id, of_file] : sectors) {
    words.push_back(id);
    if (disk.nodes().count(id) != 0) AddHeld(disk.node(id).visible.content, of_file, words);
  }
  return HashOf(words);
}

void Add(const SectorsRead& more, SectorsRead& all) {
  for (const auto& [id, sectors] : more) {
    std::vector<bool>& of_file = all[id];
    of_file.resize(std::max(of_file.size(), sectors.size()));
    for (size_t i = 0; i < sectors.size(); ++i) of_file[i] = of_file[i] || sectors[i];
  }
}

}  // namespace

std::string InWords(const std::vector<CoverCounts>& counts) {
  static constexpr const char* kWhere[] = {"", "in recovery ", "in the recovery of that "};
  std::string words;
  for (size_t i = 0; i < counts.size(); ++i) {
    const CoverCounts& of = counts[i];
    if (of.points == 0) continue;
    char text[240];
    std::snprintf(text, sizeof text,
                  "; %sall disks at %" PRIu64 " points of %" PRIu64 " by %" PRIu64
                  ", up to 2^%.0f at one, and %" PRIu64 " kills, by %" PRIu64 " recoveries",
                  kWhere[std::min(i, std::size(kWhere) - 1)], of.whole, of.points, of.disks,
                  of.disks_log2, of.kills, of.incarnations);
    words += text;
  }
  return words;
}

CoverCounts& CrashTree::CountsAfter(size_t crashes) {
  if (counts_.size() <= crashes) counts_.resize(crashes + 1);
  return counts_[crashes];
}

bool CrashTree::Crash(const FilePoint& point) {
  // Scripts that begin alike come by the same points.
  const uint64_t hash =
      HashOf({point.disk.Hash(), point.promises.Hash(), point.settles, point.decides});
  if (known_points_.count(hash) != 0) return true;
  SectorsRead read;
  if (!CrashAt(point, read)) return false;
  known_points_.insert(hash);
  return true;
}

bool CrashTree::CrashAt(const FilePoint& point, SectorsRead& read) {
  return KillAt(point, read) && (!point.decides || CutAt(point, read));
}

// [CRT-3]
bool CrashTree::KillAt(const FilePoint& point, SectorsRead& read) {
  const size_t number = point.past.crashes.size();
  // What is visible now is left by a power cut too; other than that is what can be lost later.
  if (number + 1 >= crashes_ || !HasUndecided(point.disk)) return true;
  if (!point.settles && point.newest.empty()) return true;
  ++CountsAfter(number).kills;
  FilePast next{point.disk, point.promises, point.past.crashes, {}};
  next.crashes.push_back(point.crash);
  next.crashes.back().kill = true;
  const std::optional<SectorsRead> below = Recover(next);
  if (below) Add(*below, read);
  return below.has_value();
}

bool CrashTree::CutAt(const FilePoint& point, SectorsRead& read) {
  const size_t number = point.past.crashes.size();
  const Cover cover = CoverDisks(point.disk, disks_max_, random_, [&](const Disk& decided) {
    FilePast next{decided, point.promises, point.past.crashes, {}};
    next.crashes.push_back(point.crash);
    std::optional<SectorsRead> below = Recover(next);
    if (below) Add(*below, read);
    return below;
  });
  CoverCounts& counts = CountsAfter(number);
  counts.disks += cover.tried;
  if (cover.gave_up) {
    lost_[number] = cover.lost;
    return false;
  }
  ++counts.points;
  counts.whole += cover.is_whole;
  if (cover.is_whole) counts.disks_log2 = std::max(counts.disks_log2, cover.images_log2);
  return true;
}

std::optional<SectorsRead> CrashTree::Recover(const FilePast& past) {
  const size_t left = crashes_ - past.crashes.size();
  const uint64_t promises = past.promises.Hash();
  if (HasUndecided(past.disk)) {
    const uint64_t hash = HashOf({past.disk.Hash(), promises, left});
    const auto found = known_after_kills_.find(hash);
    if (found != known_after_kills_.end()) return found->second;
    std::optional<SectorsRead> read = Branch(past);
    if (read) known_after_kills_[hash] = *read;
    return read;
  }
  const Key key = {promises, StructureHash(past.disk), left};
  for (const Known& known : known_[key]) {
    if (known.held.count(HeldIn(past.disk, known.sectors)) != 0) return known.sectors;
  }
  std::optional<SectorsRead> read = Branch(past);
  if (!read) return read;
  std::vector<Known>& all = known_[key];
  const auto same = std::find_if(all.begin(), all.end(),
                                 [&](const Known& known) { return known.sectors == *read; });
  Known& known = same != all.end() ? *same : all.emplace_back(Known{*read, {}});
  known.held.insert(HeldIn(past.disk, *read));
  return read;
}

// [CRT-2]
std::optional<SectorsRead> CrashTree::Branch(const FilePast& past) {
  const size_t number = past.crashes.size();
  ++CountsAfter(number - 1).incarnations;
  const std::optional<FileIncarnation> incarnation = recovery_(past);
  if (!incarnation) return std::nullopt;
  SectorsRead read = incarnation->read;
  const auto crash = [&](const FilePoint& point) { return CrashAt(point, read); };
  if (number < crashes_ && !ForEachPoint(past, *incarnation, 0, crash)) return std::nullopt;
  return read;
}

}  // namespace morsel::sim
