// Which bytes of a morsel are somebody's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "morsel/morsel.h"
#include "tests/crash/random.h"

namespace morsel::crash {

struct Block {
  uint64_t address = 0;
  uint64_t size_bytes = 0;
  friend bool operator==(const Block&, const Block&) = default;
};

/// All blocks that are allocated, by address: read from the medium's own bits, not asked of the
/// heap. Nobody else is in the heap, and no thread has cached what it freed.
std::vector<Block> AllocatedBlocks(const void* heap, uint64_t size_bytes);
/// Likewise; what threads have cached, they give back before.
std::vector<Block> AllocatedBlocks(morsel_t* morsel);

/// The one that begins there, of blocks by address; nullptr: none does.
const Block* BlockAt(const std::vector<Block>& blocks, const void* address);

/// How many of these blocks, which nobody was given, are more than so many threads may have taken
/// ahead.
uint64_t MoreThanTakenAhead(const std::vector<Block>& blocks, uint64_t threads);

/// So many new blocks of mixed sizes, from `allocate(size_bytes)`. Fewer where there is no more
/// room: it answers none of address 0.
std::vector<Block> AllocateFresh(const std::function<Block(uint64_t size_bytes)>& allocate,
                                 uint64_t count, Random& random);
std::vector<Block> AllocateFresh(morsel_t* morsel, uint64_t count, Random& random);

struct Owned {
  Block block;
  std::string owner;
};

/// Empty, or which two overlap first.
std::string FirstOverlap(std::vector<Owned> owned);

/// What is owned, by address.
std::vector<Block> BlocksOf(const std::vector<Owned>& owned);

/// Those of `blocks` that are none of `others`. Both by address.
std::vector<Block> Without(const std::vector<Block>& blocks, const std::vector<Block>& others);

inline void* PointerTo(const Block& block) { return reinterpret_cast<void*>(block.address); }

}  // namespace morsel::crash
