#include "image/format/tree.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <string>

#include "base/bits.h"
#include "base/error.h"

namespace morsel::image {
Entry Tree::leaf(SubtreePosition position) const {
  const uint64_t giant = position.value() / kEntriesPerTable;
  const uint64_t index = position.value() % kEntriesPerTable;
  if (giant >= tables.size() || index >= tables[giant].leaves.size()) return {};
  return tables[giant].leaves[index];
}

namespace {

uint64_t FirstPageOf(SubtreePosition position) { return position.value() * kPagesPerLeaf; }

}  // namespace

bool Tree::HasListed(SubtreePosition position) const {
  const auto first = listed.lower_bound(FirstPageOf(position));
  return first != listed.end() && first->first < FirstPageOf(position) + kPagesPerLeaf;
}

// A table's leaves end with the last one that was set, so that a large morsel that holds little
// takes little memory.
Entry& Tree::LeafToSet(SubtreePosition position) {
  std::vector<Entry>& leaves = tables[position.value() / kEntriesPerTable].leaves;
  const uint64_t index = position.value() % kEntriesPerTable;
  if (leaves.size() <= index) leaves.resize(index + 1);
  return leaves[index];
}

void Tree::Keep(SubtreePosition position, const Tree& old) {
  const Entry leaf = old.leaf(position);
  if (!IsPresent(leaf)) return;
  LeafToSet(position) = leaf;
  const uint64_t first = FirstPageOf(position);
  listed.insert(old.listed.lower_bound(first), old.listed.lower_bound(first + kPagesPerLeaf));
}

void Tree::Drop(SubtreePosition position) {
  if (IsPresent(leaf(position))) LeafToSet(position) = {};
  const uint64_t first = FirstPageOf(position);
  listed.erase(listed.lower_bound(first), listed.lower_bound(first + kPagesPerLeaf));
}

namespace {

// Adds the extents of a table, if there is one, that is not the other one's.
void AddTable(const Entry& table, const Entry& other, std::vector<FileExtent>& extents) {
  if (!IsPresent(table) || table.offset == other.offset) return;
  for (const FileExtent& extent : TableExtentsOf(table)) extents.push_back(extent);
}

// Adds the extents of a leaf, if there is one, that the other one has not.
void AddLeaf(const Entry& leaf, const Entry& other, std::vector<FileExtent>& extents) {
  if (!IsPresent(leaf)) return;
  if (leaf.offset != other.offset) extents.push_back(LeafExtentOf(leaf));
  if (leaf.second != other.second) extents.push_back(SumsExtentOf(leaf));
}

}  // namespace

std::vector<FileExtent> Tree::Extents() const {
  std::vector<FileExtent> extents;
  AddTable(root, {}, extents);
  for (const Table& table : tables) {
    AddTable(table.entry, {}, extents);
    for (const Entry& leaf : table.leaves) AddLeaf(leaf, {}, extents);
  }
  for (const PatchList& list : lists) extents.push_back(ListExtentOf(list));
  for (const auto& [page, place] : listed) extents.push_back({place.offset, kPageBytes});
  std::sort(extents.begin(), extents.end());
  return extents;
}

namespace {

// Adds the extents of tables and leaves.
void AddTablesOnlyIn(const Tree& tree, const Tree& other, std::vector<FileExtent>& extents) {
  AddTable(tree.root, other.root, extents);
  static const Table kNothing;
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    const Table& table = tree.tables[giant];
    const Table& other_table = giant < other.tables.size() ? other.tables[giant] : kNothing;
    AddTable(table.entry, other_table.entry, extents);
    for (uint64_t i = 0; i < table.leaves.size(); ++i) {
      const bool has_other = i < other_table.leaves.size();
      AddLeaf(table.leaves[i], has_other ? other_table.leaves[i] : Entry{}, extents);
    }
  }
}

void AddListedOnlyIn(const UnsettledPages& listed, const UnsettledPages& other,
                     std::vector<FileExtent>& extents) {
  for (const auto& [page, place] : listed) {
    const auto found = other.find(page);
    const bool is_shared = found != other.end() && found->second.offset == place.offset;
    if (!is_shared) extents.push_back({place.offset, kPageBytes});
  }
}

}  // namespace

std::vector<FileExtent> ExtentsOnlyIn(const Tree& tree, const Tree& other) {
  std::vector<FileExtent> extents;
  AddTablesOnlyIn(tree, other, extents);
  for (const PatchList& list : tree.lists) {
    const auto is_it = [&](const PatchList& one) { return one.offset == list.offset; };
    if (std::none_of(other.lists.begin(), other.lists.end(), is_it)) {
      extents.push_back(ListExtentOf(list));
    }
  }
  AddListedOnlyIn(tree.listed, other.listed, extents);
  std::sort(extents.begin(), extents.end());
  return extents;
}

std::string SubtreeName(uint64_t base, SubtreePosition position) {
  char text[96];
  const uint64_t begin = base + position.value() * kSubtreeBytes;
  std::snprintf(text, sizeof text, "subtree %" PRIu64 " (0x%" PRIx64 "-0x%" PRIx64 ")",
                position.value(), begin, begin + kSubtreeBytes);
  return text;
}

Status FailSum(const os::File& file, uint64_t base, SubtreePosition position, FileExtent extent) {
  return Fail(Code::kCorrupt,
              "image '%s': %s, %" PRIu64 " bytes at offset %" PRIu64
              ", fails its checksum; restore it from a copy",
              file.path().c_str(), SubtreeName(base, position).c_str(), extent.size_bytes,
              extent.offset);
}

Status FailRead(uint64_t base, SubtreePosition position, Status status) {
  return Fail(status.code(), "%s: %s", SubtreeName(base, position).c_str(), LastError());
}

}  // namespace morsel::image
