#include "image/format/version_4.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bits.h"
#include "base/on_heap.h"

namespace morsel::image {

void TranslateFromVersion4(ImageSuperblock& superblock) {
  OnHeap<SuperblockTail4> tail;
  const size_t tail_offset = offsetof(ImageSuperblock, root);
  char* const begin = reinterpret_cast<char*>(&superblock);
  std::memcpy(&*tail, begin + tail_offset, sizeof *tail);
  std::memset(begin + tail_offset, 0, sizeof superblock - tail_offset);
  superblock.root = FromVersion4(std::bit_cast<Entry>(tail->root), false);
  superblock.sequence = superblock.generation;
  std::copy(std::begin(tail->lists), std::end(tail->lists), superblock.lists);
  std::memcpy(superblock.carried_name, tail->carried_name, kCarriedNameBytes);
  superblock.log_whole = tail->log_whole;
}

Entry FromVersion4(const Entry& stored, bool is_leaf) {
  const Entry4 old = std::bit_cast<Entry4>(stored);
  Entry entry{};
  if (std::memcmp(&stored, &entry, sizeof entry) == 0) return entry;
  entry.offset = old.offset;
  entry.second = is_leaf ? old.offset + AlignUp(uint64_t{old.stored_bytes}, kBlockBytes) : 0;
  entry.stored_bytes = old.stored_bytes;
  entry.kind = old.kind;
  entry.codec = old.codec;
  entry.sum_low = old.sum_low;
  entry.sum_high = old.sum_high;
  entry.generation = old.generation;
  return entry;
}

Entry4 ToVersion4(const Entry& entry) {
  Entry4 old{};
  old.offset = entry.offset;
  old.stored_bytes = entry.stored_bytes;
  old.kind = entry.kind;
  old.codec = entry.codec;
  old.sum_low = entry.sum_low;
  old.sum_high = entry.sum_high;
  old.generation = entry.generation;
  return old;
}

}  // namespace morsel::image
