// Which bytes of a morsel are somebody's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "morsel/morsel.h"
#include "tests/crash/dice.h"

namespace morsel::crash {

struct Block {
  uint64_t address = 0;
  uint64_t size_bytes = 0;
  friend bool operator==(const Block&, const Block&) = default;
};

/// All blocks that are allocated, by address: read from the medium's own bits, not asked of the
/// heap. The morsel's capacity is 1 GiB at most, and nobody else is in the heap.
std::vector<Block> AllocatedBlocks(const morsel_t* morsel);

/// So many new blocks of mixed sizes. Fewer where there is no more room.
std::vector<Block> AllocateFresh(morsel_t* morsel, uint64_t count, Dice& dice);

struct Owned {
  Block block;
  std::string owner;
};

/// Empty, or which two overlap first.
std::string FirstOverlap(std::vector<Owned> owned);

inline void* PointerTo(const Block& block) { return reinterpret_cast<void*>(block.address); }

}  // namespace morsel::crash
