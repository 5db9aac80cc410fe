// The bytes of a log's records. Little endian.
//
//   head, table of pages, padding to a block, the pages
//
// [REC-1] The record at position p begins (p - the superblock's position) blocks behind the log's
//         offset, and ends within the log. It counts iff its head and table have the right sum, id
//         and position, `previous` is the sum of the record before, and all of its pages are whole.
//         The first record's `previous` is SumOfStart().
// [REC-2] A record is written only when the one before is durable, and only while both superblocks
//         lead to the same tree and the same log. So an invalid record behind which a whole head
//         stands in its place is damage, not the log's end.
// [REC-3] Positions of one image never restart, whatever logs it has.
// [REC-4] A record's pages are sorted, each once. Their leaves are present, and lie within the size
//         that the superblock has. Generations ascend from record to record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/bits.h"
#include "image/format/layout.h"

namespace morsel::image {

inline constexpr uint64_t kRecordMagic = 0x31474f4c4c53524d;  // "MRSLLOG1"

/// What one page of a record is.
struct RecordPage {
  uint64_t page;  ///< the page's number in the morsel, counted from its base
  uint64_t reserved;
  uint64_t sum_low;  ///< XXH3-128 of the page
  uint64_t sum_high;
};
static_assert(sizeof(RecordPage) == 32 && std::has_unique_object_representations_v<RecordPage>);
static_assert(offsetof(RecordPage, sum_low) == 16);

struct RecordHead {
  uint64_t magic;
  uint64_t checksum;  ///< XXH3-64 of head, table and padding, with this field zero
  Id id;              ///< the image's
  uint64_t position;  ///< the record's own
  uint32_t block_count;
  uint32_t page_count;
  uint64_t generation;
  uint64_t live_bytes;
  uint64_t previous;  ///< the checksum of the record before, see [REC-1]
  uint64_t reserved[7];
};
static_assert(sizeof(RecordHead) == 128 && std::has_unique_object_representations_v<RecordHead>);
static_assert(offsetof(RecordHead, checksum) == 8 && offsetof(RecordHead, id) == 16);
static_assert(offsetof(RecordHead, position) == 32 && offsetof(RecordHead, block_count) == 40);
static_assert(offsetof(RecordHead, page_count) == 44 && offsetof(RecordHead, generation) == 48);
static_assert(offsetof(RecordHead, live_bytes) == 56 && offsetof(RecordHead, previous) == 64);

/// The most pages that a record has.
inline constexpr uint64_t kRecordPagesMax = 256;

/// How many blocks head and table take.
constexpr uint64_t HeadBlocks(uint64_t page_count) {
  return DivideUp(sizeof(RecordHead) + page_count * sizeof(RecordPage), kBlockBytes);
}
inline constexpr uint64_t kHeadBlocksMax = HeadBlocks(kRecordPagesMax);
inline constexpr uint64_t kRecordBytesMax = (kHeadBlocksMax + kRecordPagesMax) * kBlockBytes;

}  // namespace morsel::image
