// Which bytes of a morsel have an owner.
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

/// All allocated blocks, by address. It reads the bits on the medium and does not ask the heap. No
/// other thread may be in the heap, and no thread may have cached blocks that it freed.
std::vector<Block> AllocatedBlocks(const void* heap, uint64_t size_bytes);
/// The same without the blocks that roots lie in, which are the library's own, after it has made
/// threads give back the blocks that they cached.
std::vector<Block> AllocatedBlocks(morsel_t* morsel);

/// The block that begins at `address`; nullptr if none does. `blocks` are in the order of
/// addresses.
const Block* BlockAt(const std::vector<Block>& blocks, const void* address);

/// How many of these blocks, which nobody was given, exceed what this many threads may have taken
/// ahead.
uint64_t MoreThanTakenAhead(const std::vector<Block>& blocks, uint64_t threads);

/// Allocates `count` new blocks of mixed sizes by `allocate(size_bytes)`. Returns fewer where there
/// is no space: `allocate` returns a block of address 0 then, which is left out.
std::vector<Block> AllocateFresh(const std::function<Block(uint64_t size_bytes)>& allocate,
                                 uint64_t count, Random& random);
std::vector<Block> AllocateFresh(morsel_t* morsel, uint64_t count, Random& random);

struct Owned {
  Block block;
  std::string owner;
};

/// Returns empty, or names the first two that overlap.
std::string FirstOverlap(std::vector<Owned> owned);

/// The blocks that have an owner, by address.
std::vector<Block> BlocksOf(const std::vector<Owned>& owned);

/// The blocks that are not in `others`. Both are in the order of addresses.
std::vector<Block> Without(const std::vector<Block>& blocks, const std::vector<Block>& others);

inline void* PointerTo(const Block& block) { return reinterpret_cast<void*>(block.address); }

}  // namespace morsel::crash
