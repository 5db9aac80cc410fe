#include "sim/disk/disk_cover.h"

#include <cmath>
#include <tuple>
#include <utility>

namespace morsel::sim {
namespace {

/// A part of a change of data: its file, which of the file's changes, which part of that.
using Atom = std::tuple<NodeId, size_t, size_t>;
using Decisions = std::map<Atom, bool>;

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
        for (size_t part = 0; part < node.undecided[i].parts(); ++part) {
          atoms_.emplace_back(id, i, part);
          Writes& writes = writes_[{id, SectorOf(atoms_.back())}];
          ++writes.count;
          writes.fill = writes.fill && PieceOf(atoms_.back()).bytes.size() == kSectorBytes;
        }
      }
    }
  }

  Cover Run() {
    const std::vector<Structure> structures = StructuresOf(disk_);
    cover_.images_log2 =
        std::log2(static_cast<double>(structures.size())) + static_cast<double>(atoms_.size());
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
  struct Writes {
    size_t count = 0;
    bool fill = true;  // the whole sector, each
  };

  const Piece& PieceOf(const Atom& atom) const {
    const auto& [id, change, part] = atom;
    return (*disk_.node(id).undecided[change].pieces)[part];
  }

  uint64_t SectorOf(const Atom& atom) const { return PieceOf(atom).offset / kSectorBytes; }

  bool Try(const Structure& structure, const Decisions& fixed, std::vector<Decisions>& left) {
    ++cover_.tried;
    Decisions decisions;
    const bool is_kept = random_() % 2 == 0;
    for (const Atom& atom : atoms_) decisions[atom] = is_kept;
    for (const auto& [atom, kept] : fixed) decisions[atom] = kept;
    const auto keep = [&](NodeId id, size_t change, size_t part) {
      const auto other = structure.kept.find({id, change});
      return other != structure.kept.end() ? other->second : decisions.at({id, change, part});
    };
    const std::optional<SectorsRead> read = recover_(disk_.Decided(keep, {}));
    if (!read) {
      cover_.gave_up = true;
      cover_.lost = LostWhereNot(disk_, keep);
      return false;
    }
    Decisions now = fixed;
    for (const Atom& atom : atoms_) {
      const auto file = read->find(std::get<NodeId>(atom));
      const uint64_t sector = SectorOf(atom);
      if (file == read->end() || sector >= file->second.size() || !file->second[sector]) continue;
      const Writes& writes = writes_.at({file->first, sector});
      if (writes.count > 1 && !writes.fill) cover_.is_whole = false;
      if (fixed.contains(atom)) continue;
      left.push_back(now);
      left.back()[atom] = !decisions.at(atom);
      now[atom] = decisions.at(atom);
    }
    return true;
  }

  const Disk& disk_;
  uint64_t tried_max_;
  std::mt19937_64& random_;
  const std::function<std::optional<SectorsRead>(const Disk&)>& recover_;
  std::vector<Atom> atoms_;
  std::map<std::pair<NodeId, uint64_t>, Writes> writes_;  // of each sector
  Cover cover_;
};

}  // namespace

Cover CoverDisks(const Disk& disk, uint64_t tried_max, std::mt19937_64& random,
                 const std::function<std::optional<SectorsRead>(const Disk& decided)>& recover) {
  return Covering(disk, tried_max, random, recover).Run();
}

}  // namespace morsel::sim
