// The tables of one generation, in memory.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "image/format/layout.h"
#include "image/format/live_patches.h"
#include "image/format/space.h"
#include "os/file/file.h"

namespace morsel::image {

/// The table of 1 GiB: its own entry and the entries of its leaves, up to the last present one.
/// [IMG-3]
struct Table {
  Entry entry{};
  std::vector<Entry> leaves;
};

/// The tables, leaves and patches of one generation. Its memory is in proportion to what the image
/// holds, not to the morsel's capacity.
struct Tree {
  Entry root{};
  std::vector<Table> tables;
  std::vector<PatchList> lists;  ///< sorted by generation
  PatchMap patches;              ///< of the leaves that have any
  uint64_t patch_count = 0;      ///< number of patches of all leaves

  /// Returns the leaf at `position`, an absent entry if there is none.
  Entry leaf(SubtreePosition position) const;
  /// Returns the patches of the leaf at `position`, nullptr if it has none.
  const LeafPatches* PatchesOf(SubtreePosition position) const;
  /// Returns the leaf at `position` for the caller to set. `tables` has its table.
  Entry& LeafToSet(SubtreePosition position);
  /// Takes over the leaf at `position` and its patches from `old`, if that has the leaf. `tables`
  /// has its table. patch_count does not change.
  void Keep(SubtreePosition position, const Tree& old);
  /// Makes the leaf at `position` absent, and removes its patches. patch_count does not change.
  void Drop(SubtreePosition position);
  /// Returns all extents of the generation, sorted.
  std::vector<FileExtent> Extents() const;
};

/// Returns the extents of `tree` that `other` does not have, sorted. Patches that both generations
/// share are not compared one by one.
std::vector<FileExtent> ExtentsOnlyIn(const Tree& tree, const Tree& other);

/// Returns what messages call a subtree: "subtree 5 (0x...-0x...)". `base` is the morsel's.
std::string SubtreeName(uint64_t base, SubtreePosition position);

/// Fails with kCorrupt: the bytes at `extent`, of the subtree at `position`, fail their checksum.
Status FailSum(const os::File& file, uint64_t base, SubtreePosition position, FileExtent extent);

/// Fails with the code of `status`, and names the subtree at `position` in front of LastError().
Status FailRead(uint64_t base, SubtreePosition position, Status status);

}  // namespace morsel::image
