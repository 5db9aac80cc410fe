// The tables of one generation, in memory.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "base/result.h"
#include "pmem/file.h"
#include "pmem/image/layout.h"
#include "pmem/image/space.h"

namespace morsel::pmem::image {

/// 1 GiB: the first of its entries, see [IMG-3].
struct Node {
  Entry entry{};
  std::vector<Entry> leaves;
};

/// How many patches a generation has at most, so that what they take of memory is bounded.
inline constexpr uint64_t kPatchesInMemory = 512 * 1024;

/// Its size is in proportion to what the image holds, not to the morsel's capacity.
struct Tree {
  Entry root{};
  std::vector<Node> nodes;
  /// Of each patched leaf, [IMG-8]. At most kPatchesInMemory in all.
  std::map<SubtreePosition, std::vector<Patch>> patches;
  uint64_t patch_count = 0;  ///< in all of them

  /// The leaf at `position`; absent where there is none.
  Entry leaf(SubtreePosition position) const;
  /// Its patches; nullptr where there are none.
  const std::vector<Patch>* PatchesOf(SubtreePosition position) const;
  /// Sets the leaf at `position`, where there is a row for it, to what `old` has there.
  void Keep(SubtreePosition position, const Tree& old);
  /// All extents, sorted.
  std::vector<Extent> Extents() const;
};

/// Told of a part of an image that cannot be believed, which LastError() names. Success: it counts
/// as absent, and the rest is read.
using Damaged = std::function<Status(Status)>;

/// As ReadTree(), of an image of which some is damaged: only what no part can be found without is
/// an error. Leaves may meet each other: it is their sums that tell.
Result<Tree> ReadIntact(const File& file, const Superblock& superblock, const Damaged& damaged);

/// Reads and validates the tables that `superblock` leads to; leaves are not read.
/// Errors  kCorrupt, naming the file, the subtrees and the offset; kVersion; kIo.
Result<Tree> ReadTree(const File& file, const Superblock& superblock);

/// "subtree 5 (0x...-0x...)"; for sentences.
std::string SubtreeName(uint64_t base, SubtreePosition position);

}  // namespace morsel::pmem::image
