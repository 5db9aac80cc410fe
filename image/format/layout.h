// The bytes of an image: a morsel's page table written down. Little endian.
//
//   superblock A at 0, superblock B at 4096, then extents in any order, each at a
//   multiple of 4096 and padded with zeros to one:
//   superblock -> root table -> tables of 1 GiB -> leaves of 2 MiB
//              -> lists of replaced pages -> pages
//
// [IMG-1] A generation's bytes are never changed while a superblock can lead to it:
//         tables and leaves are written where neither the current generation nor
//         the one before it has any.
// [IMG-2] Generation g is in slot A if g is odd, else in slot B: the older of two.
// [IMG-3] The root table and those below it hold the first entries only, up to the last
//         one that is not absent; a table of none is itself absent.
// [IMG-4] Two extents of one generation share no byte and lie between the
//         superblocks and the end of the file.
// [IMG-5] What is absent is zero.
// [IMG-6] What a checksum is of is what was written.
// [IMG-7] A leaf's extent is its stored bytes, padded, then the sums of its 512 pages; the entry's
//         sum is that of those sums, so that reading needs the bytes only, and finding what has
//         changed the sums only. Both are of the pages as they are in memory, whatever the codec.
// [IMG-8] A patch is a page that counts in place of a leaf's own. It counts iff its leaf is present
//         and of an earlier generation than its list, and no later list has that page. What does
//         not count is never looked at. A list's patches are sorted by page, each page once; lists
//         are sorted by generation. At most kPatchesMax patches count.
// [IMG-9] A leaf is stored by a codec only if that saves a block; else as it is, by kNone. Pages
//         that replace others are stored as they are.
// The morsel's name is the file's: a file that was copied opens under its new name.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/checksum.h"
#include "base/random.h"
#include "base/units.h"

namespace morsel::pmem::image {

static_assert(std::endian::native == std::endian::little);

inline constexpr uint64_t kMagic = 0x31474d494c53524d;  // "MRSLIMG1"
inline constexpr uint32_t kVersion = 4;
/// What a reader must know to read, and what a writer must know to write. None yet.
inline constexpr uint64_t kReadFeatures = 0;
inline constexpr uint64_t kWriteFeatures = 0;

inline constexpr uint64_t kBlockBytes = 4 * kKiB;
inline constexpr uint64_t kSuperblockBytes = kBlockBytes;
inline constexpr uint64_t kExtentsStart = 2 * kSuperblockBytes;
/// User addresses of x86-64 with four levels end here.
inline constexpr uint64_t kAddressEnd = uint64_t{1} << 47;

enum class Kind : uint16_t {
  kAbsent = 0,   ///< all zero, nothing stored
  kPresent = 1,  ///< one extent: a table's entries, or a leaf's 2 MiB
};
/// How a leaf's 2 MiB are stored.
enum class Codec : uint16_t {
  kNone = 0,  ///< as they are
  kLz4 = 1,   ///< one block of LZ4's
  kZstd = 2,  ///< one frame of zstd's
};
inline bool IsKnown(Codec codec) { return codec <= Codec::kZstd; }

/// One entry of a table, and what a superblock has for the root.
struct Entry {
  uint64_t offset;        ///< of the extent in the file; a multiple of 4096
  uint32_t stored_bytes;  ///< before padding
  Kind kind;
  Codec codec;
  uint64_t sum_low;  ///< XXH3-128: a table's of the stored bytes, a leaf's of its pages' sums
  uint64_t sum_high;
  uint64_t generation;  ///< a leaf's: what lists of this one and earlier ones say does not count
  uint64_t reserved[3];

  friend bool operator==(const Entry&, const Entry&) = default;
};
static_assert(sizeof(Entry) == 64 && std::is_trivially_copyable_v<Entry>);
static_assert(offsetof(Entry, stored_bytes) == 8 && offsetof(Entry, kind) == 12);
static_assert(offsetof(Entry, codec) == 14 && offsetof(Entry, sum_low) == 16);
static_assert(offsetof(Entry, sum_high) == 24 && offsetof(Entry, generation) == 32);
static_assert(std::has_unique_object_representations_v<Entry>);

/// One replaced page.
struct Patch {
  uint64_t offset;   ///< of its 4096 bytes in the file; a multiple of that
  uint64_t page;     ///< of the morsel, counted from its base
  uint64_t sum_low;  ///< XXH3-128 of the page
  uint64_t sum_high;

  friend bool operator==(const Patch&, const Patch&) = default;
};
static_assert(sizeof(Patch) == 32 && std::is_trivially_copyable_v<Patch>);
static_assert(offsetof(Patch, page) == 8 && offsetof(Patch, sum_low) == 16);
static_assert(std::has_unique_object_representations_v<Patch>);
/// So that what they take of memory is bounded, whoever wrote them; PatchesMax() is less.
inline constexpr uint64_t kPatchesMax = 1024 * 1024;

/// Where a list of patches is: their bytes, padded to a block.
struct PatchList {
  uint64_t offset;      ///< a multiple of 4096
  uint64_t count;       ///< of patches, 1 .. kPatchesMax
  uint64_t generation;  ///< that wrote it
  uint64_t sum_low;     ///< XXH3-128 of the patches
  uint64_t sum_high;

  friend bool operator==(const PatchList&, const PatchList&) = default;
};
static_assert(sizeof(PatchList) == 40 && std::is_trivially_copyable_v<PatchList>);
static_assert(std::has_unique_object_representations_v<PatchList>);
/// More than lists of which each is longer than all later ones together.
inline constexpr uint64_t kPatchListsMax = 24;

/// What a leaf takes by a codec, at most: a block less than by none.
inline constexpr uint64_t kEncodedBytesMax = kSubtreeBytes - kBlockBytes;

inline constexpr uint64_t kPagesPerLeaf = kSubtreeBytes / kPageBytes;
/// The sums behind a leaf's bytes: for each page the low and the high half of its XXH3-128.
struct PageSums {
  uint64_t halves[2 * kPagesPerLeaf];
};
inline constexpr uint64_t kPageSumsBytes = sizeof(PageSums);
static_assert(kPageSumsBytes % kBlockBytes == 0);

inline constexpr uint32_t kFlagGrows = 1;  ///< created with no size: grows as it is used
inline constexpr uint32_t kFlagGiant = 2;  ///< was made of subtrees of 1 GiB, in a carved pool

/// Magic, checksum, version, features and generation are where they are in every version.
struct ImageSuperblock {
  uint64_t magic;
  uint64_t checksum;  ///< XXH3-64 of the whole superblock with this field zero
  uint32_t version;
  uint32_t flags;
  uint64_t read_features;   ///< a bit that is not known: the image cannot be read
  uint64_t write_features;  ///< a bit that is not known: the image cannot be written
  uint64_t generation;      ///< 1 when created
  Id id;
  uint64_t base;
  uint64_t capacity_bytes;
  uint64_t size_bytes;
  uint64_t live_bytes;
  uint32_t contract;  ///< 0 snapshot, 1 fine
  Codec codec;        ///< of leaves that are written, see [IMG-9]
  uint16_t reserved_0;
  uint64_t log_offset;  ///< zero: there is no log
  uint64_t log_position;
  uint64_t reserved_1;
  Entry root;
  PatchList lists[kPatchListsMax];  ///< the first ones; the others are zero
  uint64_t reserved_2[368];
};
static_assert(sizeof(ImageSuperblock) == kSuperblockBytes &&
              std::is_trivially_copyable_v<ImageSuperblock>);
static_assert(offsetof(ImageSuperblock, checksum) == 8 && offsetof(ImageSuperblock, version) == 16);
static_assert(offsetof(ImageSuperblock, flags) == 20 &&
              offsetof(ImageSuperblock, read_features) == 24);
static_assert(offsetof(ImageSuperblock, write_features) == 32 &&
              offsetof(ImageSuperblock, generation) == 40);
static_assert(offsetof(ImageSuperblock, id) == 48 && offsetof(ImageSuperblock, base) == 64);
static_assert(offsetof(ImageSuperblock, capacity_bytes) == 72 &&
              offsetof(ImageSuperblock, size_bytes) == 80);
static_assert(offsetof(ImageSuperblock, live_bytes) == 88 &&
              offsetof(ImageSuperblock, contract) == 96);
static_assert(offsetof(ImageSuperblock, codec) == 100);
static_assert(offsetof(ImageSuperblock, log_offset) == 104 &&
              offsetof(ImageSuperblock, log_position) == 112);
static_assert(offsetof(ImageSuperblock, root) == 128 && offsetof(ImageSuperblock, lists) == 192);
static_assert(offsetof(ImageSuperblock, reserved_2) == 1152);
static_assert(std::has_unique_object_representations_v<ImageSuperblock>);

inline constexpr uint64_t kEntriesPerTable = kSubtreesPerGiant;

inline bool IsPresent(const Entry& entry) { return entry.kind != Kind::kAbsent; }
/// [IMG-2]
inline uint64_t SlotOffset(uint64_t generation) {
  return generation % 2 == 1 ? 0 : kSuperblockBytes;
}
inline Sum128 SumOf(const Entry& entry) { return {entry.sum_low, entry.sum_high}; }
inline Sum128 SumOf(const PatchList& list) { return {list.sum_low, list.sum_high}; }

/// Sets `sums` to those of a leaf's 2 MiB, and answers the leaf's. [IMG-7]
Sum128 SumPages(const char* leaf, PageSums& sums);

}  // namespace morsel::pmem::image
