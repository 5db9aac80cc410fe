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

const LeafPatches* Tree::PatchesOf(SubtreePosition position) const {
  const auto found = patches.find(position);
  return found == patches.end() ? nullptr : found->second.get();
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
  const auto found = old.patches.find(position);
  if (found != old.patches.end()) patches[position] = found->second;
}

void Tree::Drop(SubtreePosition position) {
  if (IsPresent(leaf(position))) LeafToSet(position) = {};
  patches.erase(position);
}

std::vector<FileExtent> Tree::Extents() const {
  std::vector<FileExtent> extents;
  if (IsPresent(root)) extents.push_back(TableExtentOf(root));
  for (const Table& table : tables) {
    if (IsPresent(table.entry)) extents.push_back(TableExtentOf(table.entry));
    for (const Entry& leaf : table.leaves) {
      if (IsPresent(leaf)) extents.push_back(LeafExtentOf(leaf));
    }
  }
  for (const PatchList& list : lists) extents.push_back(ListExtentOf(list));
  for (const auto& [position, of_leaf] : patches) {
    for (const LivePatch& patch : *of_leaf) extents.push_back({patch.offset, kPageBytes});
  }
  std::sort(extents.begin(), extents.end());
  return extents;
}

namespace {

// Adds the extents of tables and leaves.
void AddTablesOnlyIn(const Tree& tree, const Tree& other, std::vector<FileExtent>& extents) {
  if (IsPresent(tree.root) && tree.root.offset != other.root.offset) {
    extents.push_back(TableExtentOf(tree.root));
  }
  static const Table kNothing;
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    const Table& table = tree.tables[giant];
    const Table& other_table = giant < other.tables.size() ? other.tables[giant] : kNothing;
    if (IsPresent(table.entry) && table.entry.offset != other_table.entry.offset) {
      extents.push_back(TableExtentOf(table.entry));
    }
    for (uint64_t i = 0; i < table.leaves.size(); ++i) {
      const Entry& leaf = table.leaves[i];
      const bool is_shared =
          i < other_table.leaves.size() && leaf.offset == other_table.leaves[i].offset;
      if (IsPresent(leaf) && !is_shared) extents.push_back(LeafExtentOf(leaf));
    }
  }
}

void AddPatchesOnlyIn(const LeafPatches& patches, const LeafPatches* other,
                      std::vector<FileExtent>& extents) {
  size_t at = 0;
  const size_t end = other != nullptr ? other->size() : 0;
  for (const LivePatch& patch : patches) {
    while (at < end && (*other)[at].page < patch.page) ++at;
    const bool is_shared =
        at < end && (*other)[at].page == patch.page && (*other)[at].offset == patch.offset;
    if (!is_shared) extents.push_back({patch.offset, kPageBytes});
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
  for (const auto& [position, patches] : tree.patches) {
    const LeafPatches* const others = other.PatchesOf(position);
    if (others != patches.get()) AddPatchesOnlyIn(*patches, others, extents);
  }
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
