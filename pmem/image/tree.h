// The tables of one generation, in memory.
#pragma once

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

/// Its size is in proportion to what the image holds, not to the morsel's capacity.
struct Tree {
  Entry root{};
  std::vector<Node> nodes;

  /// The leaf at `position`; absent where there is none.
  Entry leaf(SubtreePosition position) const;
  /// All extents, sorted.
  std::vector<Extent> Extents() const;
};

/// Reads and validates the tables that `superblock` leads to; leaves are not read.
/// Errors  kCorrupt, naming the file, the subtrees and the offset; kVersion; kIo.
Result<Tree> ReadTree(const File& file, const Superblock& superblock);

/// "subtree 5 (0x...-0x...)"; for sentences.
std::string SubtreeName(uint64_t base, SubtreePosition position);

}  // namespace morsel::pmem::image
