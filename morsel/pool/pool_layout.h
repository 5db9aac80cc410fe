// A carved pool on the medium:
//
//   superblock A | superblock B | use | journal | catalog | subtree map | ... data
//
// All offsets count from the beginning of the medium and are written in the superblock, so that a
// device with another alignment needs no other format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/units.h"
#include "pmem/persist/journal_layout.h"

namespace morsel {

inline constexpr uint64_t kPoolMagic = 0x314c4f504c53524d;  // "MRSLPOL1"
inline constexpr uint32_t kPoolVersion = 1;
/// Features that a library must know to open the pool.
inline constexpr uint64_t kPoolSingle = 1;  ///< the file is one morsel of a directory pool
inline constexpr uint64_t kPoolFeaturesKnown = kPoolSingle;
inline constexpr uint64_t kSuperblockBytes = 4 * kKiB;
inline constexpr uint64_t kSuperblocks = 2;
inline constexpr uint64_t kSlotsMin = 16;
inline constexpr uint64_t kSlotsMax = 65536;

/// Magic, version and checksum keep their places in every version.
///
/// [POOL-1] A superblock is valid iff its magic and checksum are good. If both are valid, the one
///          with the higher sequence says what the pool is, and A if the sequences are equal.
/// [POOL-2] The parts lie in the order above, aligned, without overlap, inside of size_bytes.
struct PoolSuperblock {
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;  ///< sizeof(PoolSuperblock)
  uint64_t checksum;      ///< XXH3 over the 4096 bytes, with this word 0
  uint64_t sequence;
  uint64_t features;  ///< a bit that the library does not know: it must not open the pool
  uint64_t features_compatible;  ///< bits that the library need not know
  unsigned char id[16];
  uint64_t window_begin;
  uint64_t window_end;
  uint64_t size_bytes;  ///< of the medium
  uint64_t unit_bytes;  ///< what data is carved into: 2 MiB, or the medium's alignment if larger
  uint64_t use_offset;
  uint64_t journal_offset;
  uint64_t journal_bytes;
  uint64_t catalog_offset;
  uint64_t slot_count;
  uint64_t map_offset;
  uint64_t metadata_bytes;  ///< everything before this offset is mapped as one
  uint64_t data_offset;
  uint64_t subtree_count;
  uint64_t reserved[491];
};
static_assert(sizeof(PoolSuperblock) == kSuperblockBytes);
static_assert(offsetof(PoolSuperblock, checksum) == 16);
static_assert(offsetof(PoolSuperblock, id) == 48);
static_assert(offsetof(PoolSuperblock, subtree_count) == 160);
static_assert(std::has_unique_object_representations_v<PoolSuperblock>);

/// What a pool begins with, as bytes of a medium that may hold anything.
struct PoolBeginning {
  alignas(PoolSuperblock) char bytes[kSuperblocks * kSuperblockBytes];
};

/// One page. [POOL-3] in_use is 0 only if every word of metadata that is visible is durable.
struct PoolUse {
  uint64_t in_use;  ///< 0, or 1 from an open for writing to its clean end
  uint64_t reserved[511];
};
static_assert(sizeof(PoolUse) == kPageBytes);
static_assert(std::has_unique_object_representations_v<PoolUse>);

/// Flags of a slot.
inline constexpr uint32_t kSlotFine = 1;
inline constexpr uint32_t kSlotGrows = 2;
inline constexpr uint32_t kSlotGiant = 4;
inline constexpr uint32_t kSlotFlagsKnown = kSlotFine | kSlotGrows | kSlotGiant;

inline constexpr uint64_t kSlotFree = 0;
inline constexpr uint64_t kSlotLive = 0x4556494c;  // "LIVE"

/// No morsel has had so many checkpoints; a slot that says so was made to deceive.
inline constexpr uint64_t kGenerationsEnd = uint64_t{1} << 63;

/// The words of a slot that change. They share a line, and always change as one journal entry.
struct SlotStatus {
  uint64_t state;  ///< kSlotFree or kSlotLive
  uint64_t size_bytes;
  uint64_t live_bytes;
  uint64_t generation;
  uint64_t checksum;  ///< XXH3 over the four words before
  uint64_t reserved[3];
};
static_assert(sizeof(SlotStatus) == kLineBytes);
static_assert(std::has_unique_object_representations_v<SlotStatus>);

/// The words of a slot that do not change while the morsel exists, but for its name, which a
/// rename changes together with the checksum, as one journal entry.
struct SlotIdentity {
  char name[208];  ///< ends with zeros
  unsigned char id[16];
  uint64_t base;
  uint64_t capacity_bytes;
  uint32_t flags;  ///< kSlot...
  uint32_t mode;
  uint32_t user;
  uint32_t group;
  uint64_t checksum;  ///< XXH3 over the bytes before
  uint64_t reserved[7];
};
static_assert(sizeof(SlotIdentity) == 320);
static_assert(offsetof(SlotIdentity, checksum) == 256);
static_assert(std::has_unique_object_representations_v<SlotIdentity>);

/// [POOL-4] A slot's status is all zeros (never used) or its checksum is good.
/// [POOL-5] A live slot's identity has a good checksum and says what can be: a valid name, a range
///          inside the window, sizes that are multiples of its subtrees, size <= capacity,
///          generation < kGenerationsEnd.
/// [POOL-6] No two live slots have the same name or the same id, or ranges that overlap.
struct CatalogSlot {
  SlotIdentity identity;
  SlotStatus status;
  uint64_t reserved[16];
};
static_assert(sizeof(CatalogSlot) == 512);
static_assert(offsetof(CatalogSlot, status) == 320);
static_assert(std::has_unique_object_representations_v<CatalogSlot>);

}  // namespace morsel
