// The patches that count, as a generation keeps them in memory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "image/format/layout.h"

namespace morsel::image {

/// A patch that counts. [IMG-8]
struct LivePatch {
  uint64_t offset;  ///< of the page in the file
  Sum128 sum;       ///< of the page
  /// The generation that wrote the page or, where it was read from the file, that wrote its list.
  /// The patch is in the first list of this generation or a later one.
  uint64_t generation;
  uint32_t page;  ///< which of the leaf's 512
};

/// The patches of one leaf, sorted by page; never empty.
using LeafPatches = std::vector<LivePatch>;

/// All patches of a generation. Generations share the patches of leaves that have not changed.
using PatchMap = std::map<SubtreePosition, std::shared_ptr<const LeafPatches>>;

}  // namespace morsel::image
