// The tables of one generation, in memory.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "image/format/layout.h"
#include "image/format/space.h"
#include "image/format/unsettled_pages.h"
#include "os/file/file.h"

namespace morsel::image {

/// The table of 1 GiB: its own entry and the entries of its leaves, up to the last present one.
/// [IMG-3]
struct Table {
  Entry entry{};
  std::vector<Entry> leaves;
};

/// The tables, leaves and replaced pages of one generation. Its memory is in proportion to what the
/// image holds, not to the morsel's capacity.
struct Tree {
  Entry root{};
  std::vector<Table> tables;
  std::vector<PatchList> lists;  ///< sorted by generation
  UnsettledPages listed;         ///< the pages of the lists that count

  /// Returns the leaf at `position`, an absent entry if there is none.
  Entry leaf(SubtreePosition position) const;
  /// Whether pages of the leaf at `position` are listed.
  bool HasListed(SubtreePosition position) const;
  /// Returns the leaf at `position` for the caller to set. `tables` has its table.
  Entry& LeafToSet(SubtreePosition position);
  /// Takes over the leaf at `position` and its listed pages from `old`, if that has the leaf.
  /// `tables` has its table.
  void Keep(SubtreePosition position, const Tree& old);
  /// Makes the leaf at `position` absent, and forgets its listed pages.
  void Drop(SubtreePosition position);
  /// Returns all extents of the generation, sorted.
  std::vector<FileExtent> Extents() const;
};

/// Returns the extents of `tree` that `other` does not have, sorted.
std::vector<FileExtent> ExtentsOnlyIn(const Tree& tree, const Tree& other);

/// Returns what messages call a subtree: "subtree 5 (0x...-0x...)". `base` is the morsel's.
std::string SubtreeName(uint64_t base, SubtreePosition position);

/// Fails with kCorrupt: the bytes at `extent`, of the subtree at `position`, fail their checksum.
Status FailSum(const os::File& file, uint64_t base, SubtreePosition position, FileExtent extent);

/// Fails with the code of `status`, and names the subtree at `position` in front of LastError().
Status FailRead(uint64_t base, SubtreePosition position, Status status);

}  // namespace morsel::image
