#include "alloc/heap/segments/slab.h"

#include <cinttypes>
#include <cstring>

#include "base/bits.h"
#include "base/check.h"
#include "base/error.h"

namespace morsel::alloc {

uint64_t Slab::Blocks(uint64_t word) const {
  const uint64_t first = segment_.first_block;
  const uint64_t end = segment_.end_block;
  const uint64_t low = word * 64;
  uint64_t blocks = ~uint64_t{0};
  if (first > low) blocks = first >= low + 64 ? 0 : blocks << (first - low);
  if (end < low + 64) blocks &= end <= low ? 0 : ~uint64_t{0} >> (low + 64 - end);
  return blocks;
}

uint64_t Slab::Allocated(uint64_t word) const {
  return pmem::Load(Bits(word)) & ~pmem::Load(Freed(word)) & Blocks(word);
}

void Slab::Make(pmem::Persist persist) {
  const uint64_t bytes = BitLineCount(segment_.size_class) * kLineBytes;
  SlabHeader header{};
  header.magic = kSlabMagic ^ segment_.head.value();
  std::memcpy(segment_.start, &header, sizeof header);
  std::memset(static_cast<void*>(Pairs()), 0, bytes);
  persist.Flush(segment_.start, sizeof header);
  persist.Flush(Pairs(), bytes);
  persist.Fence();
}

Status Slab::Adopt(pmem::Persist persist, bool unclean, bool read_only) {
  if (Header()->magic != (kSlabMagic ^ segment_.head.value())) {
    return Fail(Code::kCorrupt,
                "the slab of unit %" PRIu64 " at %p has no slab's header (0x%" PRIx64
                "); restore the morsel from a copy",
                segment_.head.value(), static_cast<void*>(segment_.start), Header()->magic);
  }
  if (!read_only) Fold();
  if (unclean && !read_only) {
    // ORDER  bits read as free  <  their blocks handed out
    // WHY    after a kill, a cleared bit may be visible without being durable; a power cut
    //        would set it again, and the block would be allocated to nobody. Worse, a bit
    //        that the killed process *set* could stay unflushed under an object that is
    //        linked, because its line counts as durable here.                    [HEAP-5]
    // CRASH  before: the slab is as it was read, or as it was before those stores.
    // TEST   alloc/heap/heap_crash_test: KillThenPowerCut
    persist.Range(Pairs(), BitLineCount(segment_.size_class) * kLineBytes);
  }
  return Code::kOk;
}

uint64_t Slab::Take(uint64_t word, uint64_t count_max) {
  const uint64_t free = Free(word);
  if (free == 0) return 0;
  uint64_t taken = free;
  if (count_max < 64 && static_cast<uint64_t>(std::popcount(free)) > count_max) {
    // The lowest free block, and the free ones that follow it without a gap.
    const int low = std::countr_zero(free);
    const uint64_t segment = static_cast<uint64_t>(std::countr_one(free >> low));
    const uint64_t count = std::min(segment, count_max);
    taken = (count < 64 ? (uint64_t{1} << count) - 1 : ~uint64_t{0}) << low;
  }
  if (const uint64_t twice = pmem::Load(Freed(word)) & taken; twice != 0) {
    const uint64_t index = word * 64 + static_cast<uint64_t>(std::countr_zero(twice));
    DieOf(BlockAt(index), {index, true}, "free");
  }
  pmem::Store(Bits(word), pmem::Load(Bits(word)) | taken);
  // ORDER  the bits  <  the line counts as stored  <  the first of the blocks is handed out
  // WHY    persist() of a block does not flush its line of bits if the line counts as
  //        durable.                                                                [P2]
  // CRASH  blocks that were not handed out may be allocated, at most a magazine full.
  // TEST   alloc/heap/segments/slab_test: ABitIsStoredBeforeItsLineCounts
  segment_.lines[word / kPairsPerLine].Stored();
  return taken;
}

void Slab::GiveAsOther(uint64_t word, uint64_t bits) {
  // Sequentially consistent, like the holder's accesses: see the order in
  // ThreadHeap::FlushRemote().
  if (const uint64_t twice = pmem::SetBits(Freed(word), bits) & bits; twice != 0) {
    DieOfTwice(BlockAt(word * 64 + static_cast<uint64_t>(std::countr_zero(twice))));
  }
}

void Slab::Fold() {
  for (uint64_t word = 0; word < WordCount(); ++word) {
    const uint64_t freed = pmem::Load(Freed(word));
    if (freed == 0) continue;
    // ORDER  bits cleared  <  freed bits cleared
    // WHY    between the two stores the blocks must stay free. Both words share a line, of
    //        which a crash keeps some prefix of the stores.                     [HEAP-5]
    // CRASH  before the second: Adopt() merges the freed bits again.
    // TEST   alloc/heap/segments/slab_test: FoldsBitsBeforeTheMask
    pmem::Store(Bits(word), pmem::Load(Bits(word)) & ~freed);
    pmem::ClearBits(Freed(word), freed);
  }
}

bool Slab::HasRoom(uint64_t line) const {
  const uint64_t end = std::min((line + 1) * kPairsPerLine, WordCount());
  uint64_t free = 0;
  for (uint64_t word = line * kPairsPerLine; word < end; ++word) {
    free |= Free(word) | pmem::Load(Freed(word));
  }
  return free != 0;
}

bool Slab::HasRoom() const {
  for (uint64_t word = 0; word < WordCount(); ++word) {
    if (Free(word) != 0) return true;
  }
  return false;
}

bool Slab::IsEmpty() const {
  for (uint64_t word = 0; word < WordCount(); ++word) {
    if (pmem::Load(Bits(word)) != 0) return false;
  }
  return true;
}

uint64_t Slab::UsedCount() const {
  uint64_t count = 0;
  for (uint64_t word = 0; word < WordCount(); ++word) {
    count += CountBits(pmem::Load(Bits(word)));
  }
  return count;
}

void Slab::DieOf(const void* block, Segment::Place place, const char* call) const {
  const uint64_t bytes = segment_.block_bytes;
  if (place.index < segment_.first_block || place.index >= segment_.end_block || !place.is_start) {
    Die("%s of %p, which is no block's start: it lies in a slab of %" PRIu64 "-byte blocks at %p",
        call, block, bytes, static_cast<void*>(segment_.start));
  }
  Die("%s of %p, a block of %" PRIu64 " bytes that is not allocated: it was freed before", call,
      block, bytes);
}

}  // namespace morsel::alloc
