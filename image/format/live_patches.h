// Pages that count in place of a leaf's own: as a generation has them in memory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "image/format/layout.h"

namespace morsel::pmem::image {

/// A patch that counts. [IMG-8]
struct LivePatch {
  uint64_t offset;  ///< of its bytes in the file
  Sum128 sum;
  uint64_t generation;  ///< a generation: it is in the first list that is not earlier
  uint32_t page;        ///< of the leaf's 512
};

/// A leaf's, by page; there are some.
using LeafPatches = std::vector<LivePatch>;

/// All of a generation's. Generations share those of leaves that have not changed.
using PatchMap = std::map<SubtreePosition, std::shared_ptr<const LeafPatches>>;

}  // namespace morsel::pmem::image
