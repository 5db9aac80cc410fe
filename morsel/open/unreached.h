// Finds live blocks of a morsel that no root leads to.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace morsel {

class OpenMorsel;

/// A live block that no root leads to, through whatever number of blocks.
struct UnreachedBlock {
  char* block = nullptr;
  uint64_t bytes = 0;
  /// Whether it is the first of a group: the blocks that it leads to, and which no earlier group
  /// has. Nothing that is unreached leads to it, or it is one of a ring.
  bool is_first = false;
  uint64_t group_blocks = 0;  ///< of the first one of a group: how many it has, itself included
  uint64_t group_bytes = 0;
};

struct Unreached {
  std::vector<UnreachedBlock> blocks;  ///< in the order of addresses
  uint64_t bytes = 0;
  uint64_t live_blocks = 0;  ///< that were looked at
  uint64_t live_bytes = 0;
};

/// Follows the roots. An aligned word whose value lies in a live block leads to it, whether it is a
/// pointer or a number. What only variables of the program lead to is unreached.
/// Threads  any.
/// Errors   kBusy (a fork); kCorrupt; kNoMemory.
/// Cost     reads all live blocks once, while other threads wait that call the library on the
///          morsel. Memory of 24 bytes for each live block, and of 8 for each page.
Result<Unreached> FindUnreached(OpenMorsel& morsel);

}  // namespace morsel
