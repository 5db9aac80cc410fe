#include "tests/crash/blocks.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "alloc/heap_layout.h"
#include "base/check.h"

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

uint64_t FreshSize(Dice& dice) {
  if (dice.OneIn(1000)) return dice.Logarithmic(alloc::kUnitBytes, 4 * alloc::kUnitBytes);
  return dice.OneIn(50) ? dice.Logarithmic(1024, 8 * 1024) : dice.Between(1, 400);
}

}  // namespace

std::vector<Block> AllocatedBlocks(const morsel_t* morsel) {
  MORSEL_CHECK(morsel_capacity(morsel) <= alloc::kRegionBytes);
  const uint64_t base = reinterpret_cast<uint64_t>(morsel_base(morsel));
  const alloc::HeapHeader& header = *reinterpret_cast<alloc::HeapHeader*>(base);
  const UnitWord* const map = reinterpret_cast<UnitWord*>(base + header.map_offset);
  const uint64_t end = morsel_size(morsel) / alloc::kUnitBytes;
  std::vector<Block> blocks;
  for (uint64_t unit = header.first_unit; unit < end;) {
    const uint64_t start = base + unit * alloc::kUnitBytes;
    switch (map[unit].kind()) {
      case UnitKind::kSlab:
        AppendBlocksOfSlab(start, UnitIndex(unit), map[unit].size_class(), &blocks);
        unit += alloc::SlabUnits(map[unit].size_class()).value();
        break;
      case UnitKind::kExtent:
        blocks.push_back({start, map[unit].units() * alloc::kUnitBytes});
        unit += map[unit].units();
        break;
      default:
        ++unit;
    }
  }
  return blocks;
}

std::vector<Block> AllocateFresh(morsel_t* morsel, uint64_t count, Dice& dice) {
  std::vector<Block> blocks;
  for (uint64_t i = 0; i < count; ++i) {
    void* const block = morsel_malloc(morsel, FreshSize(dice));
    if (block == nullptr) break;
    blocks.push_back({reinterpret_cast<uint64_t>(block), morsel_usable_size(morsel, block)});
  }
  return blocks;
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

}  // namespace morsel::crash
