// The tables of one generation, in memory.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "image/format/layout.h"
#include "image/format/live_patches.h"
#include "image/format/space.h"
#include "os/file/file.h"

namespace morsel::pmem::image {

/// 1 GiB: the first of its entries, see [IMG-3].
struct Table {
  Entry entry{};
  std::vector<Entry> leaves;
};

/// Its size is in proportion to what the image holds, not to the morsel's capacity.
struct Tree {
  Entry root{};
  std::vector<Table> tables;
  std::vector<PatchList> lists;  ///< by generation
  PatchMap patches;              ///< of all leaves that have any
  uint64_t patch_count = 0;      ///< in all of them

  /// The leaf at `position`; absent where there is none.
  Entry leaf(SubtreePosition position) const;
  /// Its patches; nullptr where there are none.
  const LeafPatches* PatchesOf(SubtreePosition position) const;
  /// The leaf at `position`, to be set; there is a table for it.
  Entry& LeafToSet(SubtreePosition position);
  /// Sets the leaf at `position`, where `old` has one, and its patches to what `old` has there;
  /// there is a table for it. patch_count stays.
  void Keep(SubtreePosition position, const Tree& old);
  /// Makes the leaf at `position`, for which there is a table, absent; patch_count stays.
  void Drop(SubtreePosition position);
  /// All extents, sorted.
  std::vector<FileExtent> Extents() const;
};

/// The extents of one generation that another has not got, sorted. Where both share patches they
/// are not looked at one by one.
std::vector<FileExtent> ExtentsOnlyIn(const Tree& tree, const Tree& other);

/// "subtree 5 (0x...-0x...)"; for sentences.
std::string SubtreeName(uint64_t base, SubtreePosition position);

/// kCorrupt: the bytes at `extent`, of the subtree at `position`, are not what they were.
Status FailSum(const File& file, uint64_t base, SubtreePosition position, FileExtent extent);

/// `status`, which LastError() explains, of what could not be read of the subtree at `position`.
Status FailRead(uint64_t base, SubtreePosition position, Status status);

}  // namespace morsel::pmem::image
