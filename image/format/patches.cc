#include "image/format/patches.h"

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

Status ValidateList(const Reading& reading, uint64_t index) {
  const PatchList& list = reading.superblock.lists[index];
  const uint64_t before = index == 0 ? 0 : reading.superblock.lists[index - 1].generation;
  const bool is_sane = list.count != 0 && list.count <= kPatchesMax && list.generation > before &&
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

bool HasPage(const LeafPatches& patches, uint32_t page) {
  const auto found =
      std::lower_bound(patches.begin(), patches.end(), page,
                       [](const LivePatch& patch, uint32_t wanted) { return patch.page < wanted; });
  return found != patches.end() && found->page == page;
}

// Adds a leaf's patches of one list to its patches of later lists. Of a page that both have, the
// later patch counts.                                                                     [IMG-8]
void AddEarlier(LeafPatches earlier, std::shared_ptr<const LeafPatches>& later) {
  if (later != nullptr) {
    LeafPatches all;
    const auto is_before = [](const LivePatch& a, const LivePatch& b) { return a.page < b.page; };
    // Of equal elements set_union takes the one of its first range.
    std::set_union(later->begin(), later->end(), earlier.begin(), earlier.end(),
                   std::back_inserter(all), is_before);
    earlier = std::move(all);
  }
  later = std::make_shared<const LeafPatches>(std::move(earlier));
}

void Drop(SubtreePosition position, Tree& tree) {
  const LeafPatches* const patches = tree.PatchesOf(position);
  if (patches != nullptr) tree.patch_count -= patches->size();
  tree.Drop(position);
}

// Drops the leaves that a damaged list may have had pages of: all that are older than the list.
void DropOlder(const PatchList& list, Tree& tree) {
  for (uint64_t giant = 0; giant < tree.tables.size(); ++giant) {
    const std::vector<Entry>& leaves = tree.tables[giant].leaves;
    for (uint64_t i = 0; i < leaves.size(); ++i) {
      const bool may_be = IsPresent(leaves[i]) && leaves[i].generation < list.generation;
      if (may_be) Drop(SubtreePosition(giant * kEntriesPerTable + i), tree);
    }
  }
}

// Adds the pages `found` that one list has of a leaf. Those of later lists have been added.
Status AddLeaf(const Reading& reading, const PatchList& list, std::span<const Patch> found,
               SubtreePosition position, Tree& tree) {
  std::shared_ptr<const LeafPatches>& later = tree.patches[position];
  LeafPatches of_leaf;
  for (const Patch& patch : found) {
    const auto page = static_cast<uint32_t>(patch.page % kPagesPerLeaf);
    // A later list has replaced this page again. Its old place may have other bytes by now, or lie
    // behind the end of the file.
    if (later != nullptr && HasPage(*later, page)) continue;
    MORSEL_TRY(ValidatePatch(reading, position, patch));
    of_leaf.push_back({patch.offset, {patch.sum_low, patch.sum_high}, list.generation, page});
  }
  const uint64_t before = later != nullptr ? later->size() : 0;
  AddEarlier(std::move(of_leaf), later);
  tree.patch_count += later->size() - before;
  if (tree.patch_count <= kPatchesMax) return Code::kOk;
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
      const Status added = AddLeaf(reading, list, patches.first(count), position, tree);
      if (!added.ok()) {
        MORSEL_TRY(reading.damaged(added));
        Drop(position, tree);
      }
    }
    patches = patches.subspan(count);
  }
  return Code::kOk;
}

}  // namespace

std::vector<uint64_t> LiveCounts(const Tree& tree) {
  std::vector<uint64_t> counts(tree.lists.size());
  for (const auto& [position, patches] : tree.patches) {
    for (const LivePatch& patch : *patches) {
      const auto list = std::lower_bound(
          tree.lists.begin(), tree.lists.end(), patch.generation,
          [](const PatchList& one, uint64_t generation) { return one.generation < generation; });
      if (list != tree.lists.end()) ++counts[static_cast<size_t>(list - tree.lists.begin())];
    }
  }
  return counts;
}

Status ReadPatches(const Reading& reading, Tree& tree) {
  const ImageSuperblock& superblock = reading.superblock;
  uint64_t count = kPatchListsMax;
  while (count > 0 && superblock.lists[count - 1] == PatchList{}) --count;
  tree.lists.assign(superblock.lists, superblock.lists + count);
  std::vector<Patch> patches;
  for (uint64_t i = count; i > 0; --i) {
    const PatchList& list = tree.lists[i - 1];
    Status read = ValidateList(reading, i - 1);
    if (read.ok()) read = ReadList(reading, list, patches);
    if (!read.ok()) {
      MORSEL_TRY(reading.damaged(read));
      DropOlder(list, tree);
      patches.clear();
    }
    MORSEL_TRY(AddList(reading, list, patches, tree));
  }
  return Code::kOk;
}

}  // namespace morsel::image
