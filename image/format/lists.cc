#include "image/format/lists.h"

#include <algorithm>
#include <cinttypes>
#include <iterator>
#include <span>

#include "base/bits.h"
#include "base/error.h"

namespace morsel::image {
namespace {

bool IsBlockRun(const Reading& reading, FileExtent extent) {
  return IsAligned(extent.offset, kBlockBytes) && extent.offset >= kExtentsStart &&
         Within(extent.offset, extent.size_bytes, reading.file_bytes);
}

// Whether the two name the same pages.
bool AreCopies(const PatchList& one, const PatchList& other) {
  return one.generation != 0 && one.generation == other.generation && one.count == other.count &&
         SumOf(one) == SumOf(other);
}

Status ValidateList(const Reading& reading, uint64_t index) {
  const PatchList& list = reading.superblock.lists[index];
  const uint64_t before = index == 0 ? 0 : reading.superblock.lists[index - 1].generation;
  const bool is_later = list.generation > before ||
                        (index > 0 && AreCopies(reading.superblock.lists[index - 1], list));
  const bool is_sane = list.count != 0 && list.count <= kPatchesMax && is_later &&
                       list.generation <= reading.superblock.generation;
  if (is_sane && IsBlockRun(reading, ListExtentOf(list))) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s' has %" PRIu64 " bytes; list %" PRIu64 " of %" PRIu64
              " replaced pages at offset %" PRIu64 ", of generation %" PRIu64
              ", is impossible: it was truncated or damaged; restore it from a copy",
              reading.file.path().c_str(), reading.file_bytes, index, list.count, list.offset,
              list.generation);
}

Status ReadList(const Reading& reading, const PatchList& list, std::vector<Patch>& patches) {
  patches.resize(list.count);
  const uint64_t size_bytes = patches.size() * sizeof(Patch);
  MORSEL_TRY(reading.file.ReadExactly(patches.data(), size_bytes, list.offset));
  const auto is_later = [](const Patch& a, const Patch& b) { return a.page >= b.page; };
  const bool is_sorted =
      std::adjacent_find(patches.begin(), patches.end(), is_later) == patches.end();
  if (is_sorted && Checksum128(patches.data(), size_bytes) == SumOf(list)) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s': the list of replaced pages at offset %" PRIu64
              " fails its checksum, and subtrees that were stored before generation %" PRIu64
              " cannot be believed; restore it from a copy",
              reading.file.path().c_str(), list.offset, list.generation);
}

Status ValidatePatch(const Reading& reading, SubtreePosition position, const Patch& patch) {
  if (IsBlockRun(reading, {patch.offset, kPageBytes})) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s' has %" PRIu64 " bytes, but a replaced page of %s lies at offset %" PRIu64
              ": it was truncated or damaged; restore it from a copy",
              reading.file.path().c_str(), reading.file_bytes,
              SubtreeName(reading.superblock.base, position).c_str(), patch.offset);
}

// Drops the leaves that a damaged list may have had pages of: all that are older than the list.
void DropOlder(const PatchList& list, Tree& tree) {
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    const std::vector<Entry>& leaves = tree.tables[giant].leaves;
    for (uint64_t i = 0; i < leaves.size(); ++i) {
      const bool may_be = IsPresent(leaves[i]) && leaves[i].generation < list.generation;
      if (may_be) tree.Drop(SubtreePosition(giant * kEntriesPerTable + i));
    }
  }
}

// Adds the pages `found` that one list has of a leaf. Those of later lists have been added, and
// count.                                                                                  [IMG-8]
Status AddLeaf(const Reading& reading, std::span<const Patch> found, SubtreePosition position,
               Tree& tree) {
  for (const Patch& patch : found) {
    // Where a later list has replaced this page again its old place may have other bytes by now, or
    // lie behind the end of the file.
    if (tree.listed.contains(patch.page)) continue;
    MORSEL_TRY(ValidatePatch(reading, position, patch));
    tree.listed[patch.page] = {patch.offset, {patch.sum_low, patch.sum_high}};
  }
  if (tree.listed.size() <= kPatchesMax) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s' has more than %" PRIu64
              " replaced pages, some of %s; restore it from a "
              "copy",
              reading.file.path().c_str(), kPatchesMax,
              SubtreeName(reading.superblock.base, position).c_str());
}

Status AddList(const Reading& reading, const PatchList& list, std::span<const Patch> patches,
               Tree& tree) {
  while (!patches.empty()) {
    const SubtreePosition position(patches[0].page / kPagesPerLeaf);
    size_t count = 1;
    while (count < patches.size() && patches[count].page / kPagesPerLeaf == position.value()) {
      ++count;
    }
    const Entry leaf = tree.leaf(position);
    if (IsPresent(leaf) && leaf.generation < list.generation) {
      const Status added = AddLeaf(reading, patches.first(count), position, tree);
      if (!added.ok()) {
        MORSEL_TRY(reading.damaged(added));
        tree.Drop(position);
      }
    }
    patches = patches.subspan(count);
  }
  return Code::kOk;
}

// Reads the list that ends before `end`, by the first of its copies that is sound. Sets `first` to
// the first copy's number.
Status ReadCopies(const Reading& reading, uint64_t end, uint64_t& first,
                  std::vector<Patch>& patches) {
  const PatchList(&lists)[kPatchListsMax] = reading.superblock.lists;
  first = end - 1;
  while (first > 0 && AreCopies(lists[first - 1], lists[first])) --first;
  for (uint64_t i = first; i < end; ++i) MORSEL_TRY(ValidateList(reading, i));
  KeepLastError keep;
  Status read;
  for (uint64_t i = first; i < end; ++i) {
    read = ReadList(reading, lists[i], patches);
    if (read.ok()) return read;
  }
  keep.LetGo();
  return read;
}

}  // namespace

Status ReadLists(const Reading& reading, Tree& tree) {
  const ImageSuperblock& superblock = reading.superblock;
  uint64_t count = kPatchListsMax;
  while (count > 0 && superblock.lists[count - 1] == PatchList{}) --count;
  tree.lists.assign(superblock.lists, superblock.lists + count);
  std::vector<Patch> patches;
  for (uint64_t end = count; end > 0;) {
    uint64_t first = end - 1;
    const Status read = ReadCopies(reading, end, first, patches);
    if (!read.ok()) {
      MORSEL_TRY(reading.damaged(read));
      DropOlder(superblock.lists[end - 1], tree);
      const auto lists = tree.lists.begin();
      tree.lists.erase(lists + static_cast<ptrdiff_t>(first), lists + static_cast<ptrdiff_t>(end));
    } else {
      MORSEL_TRY(AddList(reading, superblock.lists[end - 1], patches, tree));
    }
    end = first;
  }
  return Code::kOk;
}

std::vector<PatchList> DamagedCopiesOfLists(const Reading& reading, const Tree& tree) {
  const KeepLastError keep;
  std::vector<PatchList> damaged;
  std::vector<Patch> patches;
  for (size_t first = 0; first < tree.lists.size();) {
    std::vector<PatchList> of_one;
    size_t past = first;
    do {
      if (!ReadList(reading, tree.lists[past], patches).ok()) of_one.push_back(tree.lists[past]);
      ++past;
    } while (past < tree.lists.size() && AreCopies(tree.lists[first], tree.lists[past]));
    if (of_one.size() < past - first) damaged.insert(damaged.end(), of_one.begin(), of_one.end());
    first = past;
  }
  return damaged;
}

}  // namespace morsel::image
