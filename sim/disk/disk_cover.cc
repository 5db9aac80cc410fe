#include "sim/disk/disk_cover.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

namespace morsel::sim {
namespace {

/// A part of a change of data: its file, which of the file's changes, which part of that.
using Atom = std::tuple<NodeId, size_t, size_t>;
using Sector = std::pair<NodeId, uint64_t>;

// The undecided writes of a sector, and the different bytes that a crash may leave there: the last
// write that is kept decides, whatever became of those before it.
struct Writes {
  static constexpr size_t kLost = ~size_t{0};
  std::vector<Atom> all;
  bool fill = true;                       // the whole sector, each
  std::vector<size_t> outcomes{{kLost}};  // the last write that is kept
};
/// For each sector, which of its outcomes.
using Decisions = std::map<Sector, size_t>;

// What is not data. Of a file's sizes, and of its modes, the last one that is kept counts: one or
// none is kept. Of names each is lost or kept.
struct Structure {
  std::map<std::pair<NodeId, size_t>, bool> kept;
};

void AddOneOrNone(NodeId id, const Node& node, Change::Kind kind, std::vector<Structure>& all) {
  std::vector<size_t> changes;
  for (size_t i = 0; i < node.undecided.size(); ++i) {
    if (node.undecided[i].kind == kind) changes.push_back(i);
  }
  if (changes.empty()) return;
  std::vector<Structure> more;
  for (const Structure& one : all) {
    for (size_t kept = 0; kept <= changes.size(); ++kept) {
      more.push_back(one);
      for (size_t i = 0; i < changes.size(); ++i) more.back().kept[{id, changes[i]}] = i == kept;
    }
  }
  all = std::move(more);
}

void AddNames(NodeId id, const Node& node, std::vector<Structure>& all) {
  for (size_t i = 0; i < node.undecided.size(); ++i) {
    if (node.undecided[i].kind != Change::Kind::kNames) continue;
    std::vector<Structure> more = all;
    for (Structure& one : all) one.kept[{id, i}] = true;
    for (Structure& one : more) one.kept[{id, i}] = false;
    all.insert(all.end(), more.begin(), more.end());
  }
}

std::vector<Structure> StructuresOf(const Disk& disk) {
  std::vector<Structure> all(1);
  for (const auto& [id, node] : disk.nodes()) {
    AddOneOrNone(id, node, Change::Kind::kSize, all);
    AddOneOrNone(id, node, Change::Kind::kMode, all);
    AddNames(id, node, all);
  }
  return all;
}

class Covering {
 public:
  Covering(const Disk& disk, uint64_t tried_max, std::mt19937_64& random,
           const std::function<std::optional<SectorsRead>(const Disk&)>& recover)
      : disk_(disk), tried_max_(tried_max), random_(random), recover_(recover) {
    for (const auto& [id, node] : disk.nodes()) {
      for (size_t i = 0; i < node.undecided.size(); ++i) {
        if (node.undecided[i].kind != Change::Kind::kData) continue;
        for (size_t part = 0; part < node.undecided[i].parts(); ++part) AddWrite({id, i, part});
      }
    }
  }

  Cover Run() {
    const std::vector<Structure> structures = StructuresOf(disk_);
    cover_.images_log2 = std::log2(static_cast<double>(structures.size()));
    for (const auto& [sector, writes] : writes_) {
      cover_.images_log2 += std::log2(static_cast<double>(writes.outcomes.size()));
    }
    for (const Structure& structure : structures) {
      std::vector<Decisions> left = {{}};
      while (!left.empty()) {
        const Decisions fixed = std::move(left.back());
        left.pop_back();
        if (cover_.tried == tried_max_) {
          cover_.is_whole = false;
          return cover_;
        }
        if (!Try(structure, fixed, left)) return cover_;
      }
    }
    return cover_;
  }

 private:
  const Piece& PieceOf(const Atom& atom) const {
    const auto& [id, change, part] = atom;
    return (*disk_.node(id).undecided[change].pieces)[part];
  }

  // Of writes that leave the same bytes one is enough: recovery writes again what was there, and
  // after several kills a sector has the same bytes undecided several times.
  void AddWrite(const Atom& atom) {
    const Piece& piece = PieceOf(atom);
    const NodeId file = std::get<NodeId>(atom);
    Writes& writes = writes_[{file, piece.offset / kSectorBytes}];
    writes.all.push_back(atom);
    writes.fill = writes.fill && piece.bytes.size() == kSectorBytes;
    const bool is_as_before = disk_.node(file).durable.content.Equals(
        piece.offset, piece.bytes.data(), piece.bytes.size());
    const bool is_known =
        writes.fill && std::any_of(writes.outcomes.begin(), writes.outcomes.end(), [&](size_t of) {
          return of == Writes::kLost ? is_as_before : PieceOf(writes.all[of]).bytes == piece.bytes;
        });
    if (!is_known) writes.outcomes.push_back(writes.all.size() - 1);
  }

  // Whether a write is kept where the disk gets this outcome of its sector.
  static bool IsKept(const Writes& writes, size_t outcome, const Atom& atom) {
    const size_t kept = writes.outcomes[outcome];
    if (kept == Writes::kLost) return false;
    const auto end = writes.all.begin() + static_cast<ptrdiff_t>(kept + 1);
    return std::find(writes.all.begin(), end, atom) != end;
  }

  bool Try(const Structure& structure, const Decisions& fixed, std::vector<Decisions>& left) {
    ++cover_.tried;
    Decisions decisions;
    const bool is_kept = random_() % 2 == 0;
    for (const auto& [sector, writes] : writes_) {
      decisions[sector] = is_kept ? writes.outcomes.size() - 1 : 0;
    }
    for (const auto& [sector, outcome] : fixed) decisions[sector] = outcome;
    const auto keep = [&](NodeId id, size_t change, size_t part) {
      const auto other = structure.kept.find({id, change});
      if (other != structure.kept.end()) return other->second;
      const Atom atom = {id, change, part};
      const Sector sector = {id, PieceOf(atom).offset / kSectorBytes};
      return IsKept(writes_.at(sector), decisions.at(sector), atom);
    };
    const std::optional<SectorsRead> read = recover_(disk_.Decided(keep, {}));
    if (!read) {
      cover_.gave_up = true;
      cover_.lost = LostWhereNot(disk_, keep);
      return false;
    }
    Decisions now = fixed;
    for (const auto& [sector, writes] : writes_) {
      const auto file = read->find(sector.first);
      if (file == read->end()) continue;
      if (sector.second >= file->second.size() || !file->second[sector.second]) continue;
      if (writes.all.size() > 1 && !writes.fill) cover_.is_whole = false;
      if (fixed.contains(sector)) continue;
      for (size_t outcome = 0; outcome < writes.outcomes.size(); ++outcome) {
        if (outcome == decisions.at(sector)) continue;
        left.push_back(now);
        left.back()[sector] = outcome;
      }
      now[sector] = decisions.at(sector);
    }
    return true;
  }

  const Disk& disk_;
  uint64_t tried_max_;
  std::mt19937_64& random_;
  const std::function<std::optional<SectorsRead>(const Disk&)>& recover_;
  std::map<Sector, Writes> writes_;
  Cover cover_;
};

}  // namespace

Cover CoverDisks(const Disk& disk, uint64_t tried_max, std::mt19937_64& random,
                 const std::function<std::optional<SectorsRead>(const Disk& decided)>& recover) {
  return Covering(disk, tried_max, random, recover).Run();
}

}  // namespace morsel::sim
