// A heap's bytes on the medium. All numbers are little-endian.
//
//   base: HeapHeader | root table | region directory | unit map of region 0 | units ...
//
// Only heaps that were made in version 2 have a root table. Such a heap becomes version 3
// when a root is set in it; morsel/roots says what roots are made of.
//
// A region is 1 GiB of the range: 16,384 units of 64 KiB. Its unit map has one word
// per unit. A segment, which is a slab or an extent, occupies one unit or several
// neighbours; it is live iff the word of its first unit, its head, says so. A pool's
// subtree map follows the same logic.
//
// [HEAP-1] A unit is used iff a live head covers it, it lies in the prefix before
//          the first unit, or it holds a region's unit map.
// [HEAP-2] A head is stored as one word, after everything that it makes reachable is
//          durable. No live head covers another.
// [HEAP-3] The word of a unit is zero unless it is a head or a piece.
// [HEAP-4] An extent that continues into another region has a piece in the word of
//          that region's first unit. The piece is durable before the head is stored.
//          It counts only while the head that it points back to covers it.
// [HEAP-5] A block is allocated iff its bit is set and its freed bit is not.
// [HEAP-6] A region's unit map lies where the directory says. The units that hold it
//          have no head.
// [HEAP-7] Bits that belong to no block are zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "alloc/heap/layout/size_class.h"
#include "base/checksum.h"
#include "base/units.h"

namespace morsel::alloc {

inline constexpr uint64_t kHeapMagic = 0x70616548'6c73726d;  // "mrslHeap"
inline constexpr uint32_t kHeapVersion = 3;
/// The version before, whose roots lie in a table. It is read, and becomes kHeapVersion.
inline constexpr uint32_t kHeapVersionOfTables = 2;
/// How many words lead to the roots.
inline constexpr uint64_t kRootWords = 256;

inline constexpr uint64_t kRegionBytes = kGiB;
inline constexpr uint64_t kUnitsPerRegion = kRegionBytes / kUnitBytes;

/// Whether the heap was closed in order. Any other value is damage.
enum HeapState : uint64_t { kHeapClean = 0x6e61656c63, kHeapInUse = 0x657375206e69 };

/// The first page of a morsel. Format() writes it; afterwards only the version, once, and what
/// follows the checksum change.
struct HeapHeader {
  uint64_t magic;
  uint32_t version;  ///< changes with unit_bytes, as one word
  uint32_t unit_bytes;
  unsigned char id[16];
  uint64_t base;
  uint64_t capacity_bytes;
  uint64_t root_table_offset;  ///< from `base`, like all offsets here
  uint64_t root_table_bytes;
  uint64_t directory_offset;  ///< the region directory: one word per region of the capacity
  uint64_t map_offset;        ///< region 0's unit map
  uint64_t first_unit;        ///< the units before it hold all of the above
  uint64_t checksum;          ///< XXH3-64 of the bytes before it, in which the version is 2
  unsigned char reserved_a[32];
  uint64_t state;  ///< the first of a cache line
  /// Where the word lies that leads to roots and was to change last. It is for who opens the heap
  /// after a kill, and need not be durable.
  uint64_t root_change;
  /// How often blocks of roots were freed, for who reads beside a writer; need not be durable.
  uint64_t root_frees;
  unsigned char reserved_b[2048 - 152];
  uint64_t roots[kRootWords];
};
static_assert(sizeof(HeapHeader) == 4096);
static_assert(offsetof(HeapHeader, base) == 32);
static_assert(offsetof(HeapHeader, checksum) == 88);
static_assert(offsetof(HeapHeader, state) == 128);
static_assert(offsetof(HeapHeader, roots) == 2048);
static_assert(std::has_unique_object_representations_v<HeapHeader>);
static_assert(std::is_trivially_copyable_v<HeapHeader>);

/// What `checksum` must be. A heap changes its version by one store, so the sum counts the version
/// as the one before.
inline uint64_t HeaderSum(const HeapHeader& header) {
  unsigned char summed[offsetof(HeapHeader, checksum)];
  std::memcpy(summed, &header, sizeof summed);
  std::memcpy(summed + offsetof(HeapHeader, version), &kHeapVersionOfTables, sizeof header.version);
  return Checksum64(summed, sizeof summed);
}

// A word of the region directory is the index of the unit at which the region's map begins, or 0
// if the region has no map yet. Region 0's word stays 0: the header says where its map is.

/// A word of a unit map. Bits 0-3 hold the kind and bits 8-15 a slab's size class. Bits 16-63 hold
/// an extent's length, or a piece's distance back to its head, in units.
enum class UnitKind : uint64_t { kNone = 0, kSlab = 1, kExtent = 2, kPiece = 3 };

struct UnitWord {
  uint64_t raw = 0;
  constexpr UnitKind kind() const { return static_cast<UnitKind>(raw & 15); }
  constexpr unsigned size_class() const { return (raw >> 8) & 255; }
  constexpr uint64_t units() const { return raw >> 16; }
  static constexpr UnitWord Slab(unsigned size_class) {
    return {static_cast<uint64_t>(UnitKind::kSlab) | uint64_t{size_class} << 8};
  }
  static constexpr UnitWord Extent(UnitCount units) {
    return {static_cast<uint64_t>(UnitKind::kExtent) | units.value() << 16};
  }
  static constexpr UnitWord Piece(UnitCount back) {
    return {static_cast<uint64_t>(UnitKind::kPiece) | back.value() << 16};
  }
};

/// The first line of a slab. After it come SlabColor() unused lines, the BitPairs, and the blocks.
/// Block i lies i * BlockBytes(class) bytes from the slab's start. The lowest indices would overlap
/// the header and the BitPairs, so the first block is FirstBlock().
struct SlabHeader {
  uint64_t magic;  ///< kSlabMagic ^ the slab's first unit
  uint64_t lease;  ///< for the process that holds the slab; 0 while only one may write
  uint64_t reserved[6];
};
inline constexpr uint64_t kSlabMagic = 0x62616c53'6c73726d;  // "mrslSlab"
static_assert(sizeof(SlabHeader) == kLineBytes);
static_assert(std::has_unique_object_representations_v<SlabHeader>);

/// The allocation bits of 64 blocks. Both words lie on the same cache line, so that no crash can
/// separate a freed bit from the bit that it cancels.
struct BitPair {
  uint64_t bits;   ///< changed by the slab's holder only
  uint64_t freed;  ///< set by other threads; the holder merges them into `bits`
};
inline constexpr uint64_t kPairsPerLine = kLineBytes / sizeof(BitPair);
inline constexpr uint64_t kBlocksPerLine = 64 * kPairsPerLine;
static_assert(sizeof(BitPair) == 16);
static_assert(offsetof(BitPair, freed) == 8);
static_assert(std::has_unique_object_representations_v<BitPair>);

/// How many cache lines of BitPairs a slab of the class has.
constexpr uint64_t BitLineCount(unsigned size_class) {
  const uint64_t slots = SlabUnits(size_class).value() * kUnitBytes / BlockBytes(size_class);
  return DivideUp(slots, kBlocksPerLine);
}
inline constexpr uint64_t kBitLinesMax = kBlocksPerSlabMax / kBlocksPerLine;

/// How many colors the slabs of a class have. A slab of color c has c unused lines between its
/// header and its BitPairs. Slabs begin at multiples of 64 KiB; if all of them had their bits at
/// the same distance, those lines would compete for a few sets of the processor's caches (slab
/// coloring: Bonwick 1994). Where blocks are large, there are only as many colors as fit before the
/// first one.
constexpr uint64_t SlabColors(unsigned size_class) {
  const uint64_t lines = BlockBytes(size_class) / kLineBytes;
  if (lines < 16) return 16;
  return lines <= 32 ? lines - 1 : 32;
}
/// The color of the slab that begins at unit `head`.
constexpr uint64_t SlabColor(unsigned size_class, UnitIndex head) {
  return head.value() / SlabUnits(size_class).value() % SlabColors(size_class);
}
/// Where a slab's BitPairs begin, in bytes from its start.
constexpr uint64_t BitPairsOffset(unsigned size_class, UnitIndex head) {
  return sizeof(SlabHeader) + SlabColor(size_class, head) * kLineBytes;
}

/// The index of a slab's first block.
constexpr uint64_t FirstBlock(unsigned size_class, UnitIndex head) {
  return DivideUp(BitPairsOffset(size_class, head) + BitLineCount(size_class) * kLineBytes,
                  BlockBytes(size_class));
}
/// The index of a slab's last block, plus one.
constexpr uint64_t EndBlock(unsigned size_class) {
  return SlabUnits(size_class).value() * kUnitBytes / BlockBytes(size_class);
}

/// Where the parts of a heap lie. It follows from the capacity and the size of the root table.
struct HeapGeometry {
  uint64_t root_table_offset;
  uint64_t directory_offset;
  uint64_t map_offset;
  UnitIndex first_unit;
  uint64_t region_count;
};
constexpr HeapGeometry GeometryOf(uint64_t capacity_bytes, uint64_t root_table_bytes) {
  HeapGeometry geometry{};
  geometry.region_count = DivideUp(capacity_bytes, kRegionBytes);
  geometry.root_table_offset = sizeof(HeapHeader);
  geometry.directory_offset = AlignUp(geometry.root_table_offset + root_table_bytes, kLineBytes);
  geometry.map_offset =
      AlignUp(geometry.directory_offset + geometry.region_count * sizeof(uint64_t), kLineBytes);
  const uint64_t units =
      (capacity_bytes < kRegionBytes ? capacity_bytes : kRegionBytes) / kUnitBytes;
  geometry.first_unit =
      UnitIndex(DivideUp(geometry.map_offset + units * sizeof(uint64_t), kUnitBytes));
  return geometry;
}
/// How many units the map of a region takes. Region 0's map lies in the prefix instead.
inline constexpr UnitCount kMapUnits = UnitCount(kUnitsPerRegion * sizeof(uint64_t) / kUnitBytes);

}  // namespace morsel::alloc
