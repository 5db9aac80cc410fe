#include "tests/crash/blocks.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <iterator>
#include <map>
#include <set>

#include "alloc/heap/layout/heap_layout.h"
#include "alloc/heap/threads/magazines.h"
#include "base/check.h"
#include "morsel/roots/root_layout.h"

namespace morsel::crash {
namespace {

using alloc::BitPair;
using alloc::UnitKind;
using alloc::UnitWord;

void AppendBlocksOfSlab(uint64_t start, UnitIndex head, unsigned size_class,
                        std::vector<Block>* blocks) {
  const BitPair* const pairs =
      reinterpret_cast<BitPair*>(start + alloc::BitPairsOffset(size_class, head));
  const uint64_t size_bytes = alloc::BlockBytes(size_class);
  for (uint64_t i = alloc::FirstBlock(size_class, head); i < alloc::EndBlock(size_class); ++i) {
    const BitPair& pair = pairs[i / 64];
    if (((pair.bits & ~pair.freed) >> (i % 64) & 1) == 0) continue;
    blocks->push_back({start + i * size_bytes, size_bytes});
  }
}

// nullptr: nothing was ever allocated in the region.
const UnitWord* MapOf(const alloc::HeapHeader& header, uint64_t region) {
  if (region == 0) return reinterpret_cast<UnitWord*>(header.base + header.map_offset);
  const uint64_t unit = reinterpret_cast<uint64_t*>(header.base + header.directory_offset)[region];
  return unit == 0 ? nullptr : reinterpret_cast<UnitWord*>(header.base + unit * alloc::kUnitBytes);
}

// Adds the addresses of the nodes and records that lie behind the word of a heap's roots.
void AppendBlocksOfRoots(uint64_t base, RootWord word, std::set<uint64_t>* addresses) {
  for (; word.raw != 0;
       word = RootWord{reinterpret_cast<RootRecord*>(base + word.offset())->next}) {
    addresses->insert(base + word.offset());
    if (word.IsRecord()) continue;
    for (const uint64_t below : reinterpret_cast<RootNode*>(base + word.offset())->words) {
      AppendBlocksOfRoots(base, RootWord{below}, addresses);
    }
    return;
  }
}

bool ByAddress(const Block& a, const Block& b) { return a.address < b.address; }

uint64_t FreshSize(Random& random) {
  if (random.OneIn(1000)) return random.Logarithmic(alloc::kUnitBytes, 4 * alloc::kUnitBytes);
  return random.OneIn(50) ? random.Logarithmic(1024, 8 * 1024) : random.Between(1, 400);
}

}  // namespace

std::vector<Block> AllocatedBlocks(const void* heap, uint64_t size_bytes) {
  const uint64_t base = reinterpret_cast<uint64_t>(heap);
  const alloc::HeapHeader& header = *reinterpret_cast<alloc::HeapHeader*>(base);
  const uint64_t end = size_bytes / alloc::kUnitBytes;
  std::vector<Block> blocks;
  for (uint64_t unit = header.first_unit; unit < end;) {
    const UnitWord* const map = MapOf(header, unit / alloc::kUnitsPerRegion);
    if (map == nullptr) {
      unit = (unit / alloc::kUnitsPerRegion + 1) * alloc::kUnitsPerRegion;
      continue;
    }
    const UnitWord word = map[unit % alloc::kUnitsPerRegion];
    const uint64_t start = base + unit * alloc::kUnitBytes;
    switch (word.kind()) {
      case UnitKind::kSlab:
        AppendBlocksOfSlab(start, UnitIndex(unit), word.size_class(), &blocks);
        unit += alloc::SlabUnits(word.size_class()).value();
        break;
      case UnitKind::kExtent:
        blocks.push_back({start, word.units() * alloc::kUnitBytes});
        unit += word.units();
        break;
      default:
        ++unit;
    }
  }
  return blocks;
}

std::vector<Block> AllocatedBlocks(morsel_t* morsel) {
  morsel_info info{};  // asked for, the heap counts what is live, and caches are not
  MORSEL_CHECK(morsel_stat(morsel, &info) == MORSEL_OK);
  const uint64_t base = reinterpret_cast<uint64_t>(morsel_base(morsel));
  std::set<uint64_t> of_roots;
  for (const uint64_t word : reinterpret_cast<alloc::HeapHeader*>(base)->roots) {
    AppendBlocksOfRoots(base, RootWord{word}, &of_roots);
  }
  std::vector<Block> blocks = AllocatedBlocks(morsel_base(morsel), morsel_size(morsel));
  std::erase_if(blocks, [&](const Block& block) { return of_roots.contains(block.address); });
  return blocks;
}

uint64_t MoreThanTakenAhead(const std::vector<Block>& blocks, uint64_t threads) {
  std::map<uint64_t, uint64_t> counts;
  for (const Block& block : blocks) ++counts[block.size_bytes];
  uint64_t more = 0;
  for (const auto& [size_bytes, count] : counts) {
    uint64_t ahead = 0;  // extents are given at once
    if (size_bytes <= alloc::kBlockBytesMax) {
      ahead = threads * alloc::Magazines::Places(alloc::ClassOf(size_bytes));
    }
    more += count > ahead ? count - ahead : 0;
  }
  return more;
}

std::vector<Block> AllocateFresh(const std::function<Block(uint64_t size_bytes)>& allocate,
                                 uint64_t count, Random& random) {
  std::vector<Block> blocks;
  for (uint64_t i = 0; i < count; ++i) {
    const Block block = allocate(FreshSize(random));
    if (block.address == 0) break;
    blocks.push_back(block);
  }
  return blocks;
}

std::vector<Block> AllocateFresh(morsel_t* morsel, uint64_t count, Random& random) {
  const auto allocate = [&](uint64_t size_bytes) {
    void* const block = morsel_malloc(morsel, size_bytes);
    return Block{reinterpret_cast<uint64_t>(block), morsel_usable_size(morsel, block)};
  };
  return AllocateFresh(allocate, count, random);
}

const Block* BlockAt(const std::vector<Block>& blocks, const void* address) {
  const auto wanted = reinterpret_cast<uint64_t>(address);
  const auto found =
      std::lower_bound(blocks.begin(), blocks.end(), wanted,
                       [](const Block& block, uint64_t begin) { return block.address < begin; });
  return found != blocks.end() && found->address == wanted ? &*found : nullptr;
}

std::string FirstOverlap(std::vector<Owned> owned) {
  std::sort(owned.begin(), owned.end(),
            [](const Owned& a, const Owned& b) { return a.block.address < b.block.address; });
  for (size_t i = 1; i < owned.size(); ++i) {
    const Owned& low = owned[i - 1];
    const Owned& high = owned[i];
    if (low.block.address + low.block.size_bytes <= high.block.address) continue;
    char text[100];
    std::snprintf(text, sizeof text, " (0x%" PRIx64 " + %" PRIu64 ", 0x%" PRIx64 " + %" PRIu64 ")",
                  low.block.address, low.block.size_bytes, high.block.address,
                  high.block.size_bytes);
    return low.owner + " and " + high.owner + " share bytes" + text;
  }
  return {};
}

std::vector<Block> BlocksOf(const std::vector<Owned>& owned) {
  std::vector<Block> blocks;
  for (const Owned& one : owned) blocks.push_back(one.block);
  std::sort(blocks.begin(), blocks.end(), ByAddress);
  return blocks;
}

std::vector<Block> Without(const std::vector<Block>& blocks, const std::vector<Block>& others) {
  std::vector<Block> left;
  std::set_difference(blocks.begin(), blocks.end(), others.begin(), others.end(),
                      std::back_inserter(left), ByAddress);
  return left;
}

}  // namespace morsel::crash
