// Images of version 4, which this library reads and does not write. In memory they are as those of
// its own version: superblocks and entries are translated where they are read.
//
// In version 4 slot B lies at 4096, superblocks have no number of their own, generation g is in
// slot A if g is odd, there is one copy of each table, and a leaf's page sums follow its bytes. All
// else is as in image/format/layout.h.
#pragma once

#include <cstdint>

#include "image/format/layout.h"

namespace morsel::image {

inline constexpr uint64_t kSlotOffsets4[2] = {0, kBlockBytes};

struct Entry4 {
  uint64_t offset;
  uint32_t stored_bytes;
  Kind kind;
  Codec codec;
  uint64_t sum_low;
  uint64_t sum_high;
  uint64_t generation;
  uint64_t reserved[3];
};
static_assert(sizeof(Entry4) == sizeof(Entry) && std::is_trivially_copyable_v<Entry4>);
static_assert(offsetof(Entry4, stored_bytes) == 8 && offsetof(Entry4, generation) == 32);

/// What follows the root table's entry. What is before is as in later versions.
struct SuperblockTail4 {
  Entry4 root;
  PatchList lists[kPatchListsMax];
  char carried_name[kCarriedNameBytes];
  uint64_t log_whole;
};
static_assert(offsetof(SuperblockTail4, lists) == 64 && sizeof(SuperblockTail4) == 1240);

/// Translates a superblock, which has the bytes that are stored. Its number is its generation.
void TranslateFromVersion4(ImageSuperblock& superblock);

/// Returns the entry whose bytes `stored` is, of a table or of a leaf.
Entry FromVersion4(const Entry& stored, bool is_leaf);

/// Returns what FromVersion4() has translated, as it is stored: sums of logs are of these bytes.
Entry4 ToVersion4(const Entry& entry);

}  // namespace morsel::image
