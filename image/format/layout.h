// The bytes of an image: a morsel's page table written down. Little endian.
//
//   superblock A at 0, superblock B at 1 MiB, a block at 4096 that is never written, and extents in
//   any order, each at a multiple of 4096 and padded with zeros to one:
//   superblock -> root table, twice -> tables of 1 GiB, each twice -> leaves of 2 MiB, and sums
//              -> lists of replaced pages -> pages
//
// [IMG-1] A generation's bytes are never changed while a superblock can lead to it: tables and
//         leaves are written where no superblock of the file leads.
// [IMG-2] The superblock of sequence number s is in slot A if s is odd, in slot B if s is even. So
//         a new superblock replaces the older of the two. Each is written a second time, with the
//         next number, into the other slot. The two lie apart, and so do the two copies of a table.
// [IMG-3] A table holds its entries only up to the last one that is not absent. A table whose
//         entries are all absent is itself absent.
// [IMG-4] Two extents of one generation share no byte, nor one with a superblock. All extents lie
//         behind the block that is never written, and before the end of the file.
// [IMG-5] What is absent is zero.
// [IMG-6] A checksum is computed from the very copy that is written, not from memory that a
//         program may store to meanwhile.
// [IMG-7] The sums of a leaf's 512 pages are an extent of their own, which the entry names. The
//         entry's sum is the sum of those sums. So loading reads the bytes only, and finding what
//         has changed reads the sums only. All are sums of the pages as they are in memory,
//         whatever the codec.
// [IMG-8] A patch is a page that replaces one of a leaf's own. It counts iff its leaf is present,
//         the leaf's generation is lower than its list's, and no later list has that page. A patch
//         that does not count is never looked at: others may use its space by now. A list's patches
//         are sorted by page, each page once; lists are sorted by generation. At most kPatchesMax
//         patches count.
// [IMG-9] A leaf is compressed only if that saves a block; otherwise it is stored as it is, with
//         codec kNone. Patches are always stored as they are.
// [IMG-10] A leaf of codec kNone lies at a multiple of 2 MiB, so that a mapping can have it.
// In a pool an image does not hold its morsel's name. The file's name is the morsel's, so that a
// copied file opens under its new name. An exported image carries the name that the morsel had, as
// a proposal for who imports it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/checksum.h"
#include "base/random.h"
#include "base/units.h"
#include "image/codecs/codecs.h"

namespace morsel::image {

static_assert(std::endian::native == std::endian::little);

inline constexpr uint64_t kMagic = 0x31474d494c53524d;  // "MRSLIMG1"
inline constexpr uint32_t kVersion = 5;
/// The image has a log, of whose records a reader must know.
inline constexpr uint64_t kFeatureLog = 1;
/// The features that a reader, or a writer, must know: those that this library does.
inline constexpr uint64_t kReadFeatures = kFeatureLog;
inline constexpr uint64_t kWriteFeatures = 0;

inline constexpr uint64_t kBlockBytes = 4 * kKiB;
inline constexpr uint64_t kSuperblockBytes = kBlockBytes;
/// What damages one slot, or one copy of a table, hardly reaches as far as this.
inline constexpr uint64_t kApartBytes = kMiB;
/// Where the two superblocks lie.
inline constexpr uint64_t kSlotOffsets[2] = {0, kApartBytes};
/// Before it are slot A and a block that is never written.
inline constexpr uint64_t kExtentsStart = 2 * kBlockBytes;
/// No image is shorter: it has both slots.
inline constexpr uint64_t kFileBytesMin = kSlotOffsets[1] + kSuperblockBytes;

enum class Kind : uint16_t {
  kAbsent = 0,   ///< all zero; nothing is stored
  kPresent = 1,  ///< stored in one extent: a table's entries, or a leaf's 2 MiB
};

/// One entry of a table. The superblock has one for the root table.
struct Entry {
  uint64_t offset;  ///< of the extent in the file; a multiple of 4096
  /// Of a leaf: where its page sums lie, kPageSumsBytes of them. Of a table: where its other copy
  /// does. A multiple of 4096.
  uint64_t second;
  uint32_t stored_bytes;  ///< before padding
  Kind kind;
  Codec codec;
  uint64_t sum_low;  ///< XXH3-128 of a table's stored bytes, or of a leaf's page sums
  uint64_t sum_high;
  /// Of a leaf: patches in lists of this generation or an earlier one do not count. Of a table: 0.
  uint64_t generation;
  uint64_t reserved[2];

  friend bool operator==(const Entry&, const Entry&) = default;
};
static_assert(sizeof(Entry) == 64 && std::is_trivially_copyable_v<Entry>);
static_assert(offsetof(Entry, second) == 8 && offsetof(Entry, stored_bytes) == 16);
static_assert(offsetof(Entry, kind) == 20 && offsetof(Entry, codec) == 22);
static_assert(offsetof(Entry, sum_low) == 24 && offsetof(Entry, generation) == 40);
static_assert(std::has_unique_object_representations_v<Entry>);

/// A page that replaces one of a leaf's own.
struct Patch {
  uint64_t offset;   ///< of the page in the file; a multiple of 4096
  uint64_t page;     ///< the page's number in the morsel, counted from its base
  uint64_t sum_low;  ///< XXH3-128 of the page
  uint64_t sum_high;

  friend bool operator==(const Patch&, const Patch&) = default;
};
static_assert(sizeof(Patch) == 32 && std::is_trivially_copyable_v<Patch>);
static_assert(offsetof(Patch, page) == 8 && offsetof(Patch, sum_low) == 16);
static_assert(std::has_unique_object_representations_v<Patch>);
/// How many patches may count in an image. A reader refuses more, so that no file can make it take
/// more memory than that. A writer makes fewer: see kListedMax.
inline constexpr uint64_t kPatchesMax = 1024 * 1024;

/// Where a list of patches lies. Its extent holds the patches, padded to a block.
struct PatchList {
  uint64_t offset;      ///< a multiple of 4096
  uint64_t count;       ///< number of patches, 1 .. kPatchesMax
  uint64_t generation;  ///< the generation that wrote the list
  uint64_t sum_low;     ///< XXH3-128 of the patches
  uint64_t sum_high;

  friend bool operator==(const PatchList&, const PatchList&) = default;
};
static_assert(sizeof(PatchList) == 40 && std::is_trivially_copyable_v<PatchList>);
static_assert(std::has_unique_object_representations_v<PatchList>);
/// How many lists a superblock has room for. kPatchesMax patches need fewer where each list is
/// longer than all later ones together.
inline constexpr uint64_t kPatchListsMax = 24;

/// The most bytes that a compressed leaf may take: a block less than an uncompressed one. [IMG-9]
inline constexpr uint64_t kEncodedBytesMax = kSubtreeBytes - kBlockBytes;

inline constexpr uint64_t kPagesPerLeaf = kSubtreeBytes / kPageBytes;
/// The sums of a leaf: for each page the low and the high half of its XXH3-128.
struct PageSums {
  uint64_t halves[2 * kPagesPerLeaf];

  Sum128 of(uint64_t page) const { return {halves[2 * page], halves[2 * page + 1]}; }
  void Set(uint64_t page, const Sum128& sum) {
    halves[2 * page] = sum.low;
    halves[2 * page + 1] = sum.high;
  }
};
inline constexpr uint64_t kPageSumsBytes = sizeof(PageSums);
static_assert(kPageSumsBytes % kBlockBytes == 0);

/// A reader refuses a longer log, so that no file can make it take more memory.
inline constexpr uint64_t kLogBytesMax = 256 * kMiB;
/// No image has had so many blocks of logs.
inline constexpr uint64_t kLogPositionsEnd = uint64_t{1} << 63;

inline constexpr uint32_t kFlagGrows = 1;  ///< created with size 0: it grows as it is used
inline constexpr uint32_t kFlagGiant = 2;  ///< was made of subtrees of 1 GiB, in a carved pool

/// No image has had so many checkpoints; a file that says so was made to deceive.
inline constexpr uint64_t kGenerationsEnd = uint64_t{1} << 63;

/// Names of morsels have up to 200 bytes.
inline constexpr uint64_t kCarriedNameBytes = 208;

/// Magic, checksum, version, features and generation keep their places in every version.
struct ImageSuperblock {
  uint64_t magic;
  uint64_t checksum;  ///< XXH3-64 of the whole superblock with this field zero
  uint32_t version;
  uint32_t flags;
  uint64_t read_features;   ///< a reader that does not know one of the bits refuses the image
  uint64_t write_features;  ///< a writer that does not know one of the bits refuses the image
  uint64_t generation;      ///< counts checkpoints: 1 when created
  Id id;
  uint64_t base;
  uint64_t capacity_bytes;
  uint64_t size_bytes;
  uint64_t live_bytes;
  uint32_t contract;  ///< 0 snapshot, 1 fine
  Codec codec;        ///< compresses the leaves that are written, see [IMG-9]
  uint16_t reserved_0;
  uint64_t log_offset;    ///< with kFeatureLog, else 0; see image/log/record_layout.h
  uint64_t log_position;  ///< of the log's first block, in blocks; without a log the next one's
  uint64_t log_bytes;     ///< a multiple of 4096
  Entry root;
  uint64_t sequence;                ///< counts superblocks, from 1: see [IMG-2]
  PatchList lists[kPatchListsMax];  ///< sorted by generation; unused ones follow and are zero
  /// In an export what the morsel was called, with zeros behind; cleared by the next checkpoint.
  char carried_name[kCarriedNameBytes];
  /// The position up to which the log was found whole when the image was last opened for writing
  /// with one; else 0.
  uint64_t log_whole;
  uint64_t reserved[340];
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
static_assert(offsetof(ImageSuperblock, log_bytes) == 120);
static_assert(offsetof(ImageSuperblock, root) == 128 && offsetof(ImageSuperblock, sequence) == 192);
static_assert(offsetof(ImageSuperblock, lists) == 200);
static_assert(offsetof(ImageSuperblock, carried_name) == 1160);
static_assert(offsetof(ImageSuperblock, log_whole) == 1368);
static_assert(std::has_unique_object_representations_v<ImageSuperblock>);

inline constexpr uint64_t kEntriesPerTable = kSubtreesPerGiant;

inline bool HasLog(const ImageSuperblock& superblock) {
  return (superblock.read_features & kFeatureLog) != 0;
}
inline bool IsPresent(const Entry& entry) { return entry.kind != Kind::kAbsent; }
/// Which slot the superblock of this sequence number is in. [IMG-2]
inline size_t SlotIndex(uint64_t sequence) { return sequence % 2 == 1 ? 0 : 1; }
inline uint64_t SlotOffset(uint64_t sequence) { return kSlotOffsets[SlotIndex(sequence)]; }
/// Whether it is of the version that is read beside the own one: see image/format/version_4.h.
inline bool IsOfVersion4(const ImageSuperblock& superblock) { return superblock.version == 4; }
inline Sum128 SumOf(const Entry& entry) { return {entry.sum_low, entry.sum_high}; }
inline Sum128 SumOf(const PatchList& list) { return {list.sum_low, list.sum_high}; }

/// The name that an export carries, as it is there.
std::string CarriedName(const ImageSuperblock& superblock);
/// Lets it carry `name`, or none if that is longer than a name can be.
void SetCarriedName(ImageSuperblock& superblock, std::string_view name);

/// Sets `sums` to the sums of the pages of `leaf`, which has 2 MiB. Returns the leaf's own sum,
/// which its entry has. [IMG-7]
Sum128 SumPages(const char* leaf, PageSums& sums);

}  // namespace morsel::image
