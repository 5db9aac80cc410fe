#include "alloc/slab.h"

#include <bit>
#include <cinttypes>
#include <cstring>

#include "base/check.h"
#include "base/error.h"

namespace morsel::alloc {

uint64_t Slab::Blocks(uint64_t word) const {
  const uint64_t first = FirstBlock(run_.size_class);
  const uint64_t end = EndBlock(run_.size_class);
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
  const uint64_t bytes = sizeof(SlabHeader) + BitLineCount(run_.size_class) * sizeof(BitLine);
  SlabHeader header{};
  header.magic = kSlabMagic ^ run_.head.value();
  std::memcpy(run_.start, &header, sizeof header);
  std::memset(Lines(), 0, bytes - sizeof header);
  persist.Range(run_.start, bytes);
  run_.used = 0;
  run_.hint = FirstBlock(run_.size_class) / 64;
}

Status Slab::Adopt(pmem::Persist persist, bool unclean, bool read_only) {
  if (Header()->magic != (kSlabMagic ^ run_.head.value())) {
    return Fail(Code::kCorrupt,
                "the slab of unit %" PRIu64 " at %p has no slab's header (0x%" PRIx64
                "); restore the morsel from a copy",
                run_.head.value(), static_cast<void*>(run_.start), Header()->magic);
  }
  run_.used = 0;
  run_.hint = FirstBlock(run_.size_class) / 64;
  for (uint64_t word = 0; word < WordCount(); ++word) {
    const uint64_t allocated = Allocated(word);
    run_.used += static_cast<uint64_t>(std::popcount(allocated));
    if (read_only || pmem::Load(Freed(word)) == 0) continue;
    // ORDER  bit cleared  <  freed bit cleared
    // WHY    between the two the block must stay free; they share a line, which a
    //        crash keeps as some prefix of its stores.                          [HEAP-5]
    // CRASH  before the second: folded again at the next open.
    // TEST   alloc/slab_test: FoldsBitsBeforeTheMask
    pmem::Store(Bits(word), allocated);
    pmem::Store(Freed(word), 0);
  }
  if (unclean && !read_only) {
    // ORDER  bits read as free  <  their blocks handed out
    // WHY    after a kill a cleared bit may be visible without being durable: the block
    //        would be allocated again by a power cut, to nobody. Worse, a bit that was
    //        *set* unseen could stay unflushed under an object that is linked.  [HEAP-5]
    // CRASH  before: the slab is as it was read, or as it was before those stores.
    // TEST   alloc/heap_crash_test: KillThenPowerCut
    persist.Range(Lines(), BitLineCount(run_.size_class) * sizeof(BitLine));
  }
  return Code::kOk;
}

void* Slab::Take() {
  for (uint64_t word = run_.hint; word < WordCount(); ++word) {
    const uint64_t free = ~pmem::Load(Bits(word)) & Blocks(word);
    if (free == 0) continue;
    run_.hint = word;
    const uint64_t bit = static_cast<uint64_t>(std::countr_zero(free));
    pmem::Store(Bits(word), pmem::Load(Bits(word)) | uint64_t{1} << bit);
    run_.lines[word / 4].Stored();
    ++run_.used;
    return run_.start + (word * 64 + bit) * BlockBytes(run_.size_class);
  }
  return nullptr;
}

void Slab::Give(void* block) {
  const uint64_t index = IndexOf(block);
  const uint64_t bytes = BlockBytes(run_.size_class);
  const uint64_t offset = static_cast<uint64_t>(static_cast<char*>(block) - run_.start);
  if (offset % bytes != 0 || index < FirstBlock(run_.size_class) ||
      index >= EndBlock(run_.size_class)) {
    Die("free of %p, which is no block's start: it lies in a slab of %" PRIu64 "-byte blocks at %p",
        block, bytes, static_cast<void*>(run_.start));
  }
  if (!Bit(index)) {
    Die("double free of %p, a block of %" PRIu64 " bytes that is not allocated", block, bytes);
  }
  const uint64_t word = index / 64;
  pmem::Store(Bits(word), pmem::Load(Bits(word)) & ~(uint64_t{1} << (index % 64)));
  run_.lines[word / 4].Stored();
  --run_.used;
  if (word < run_.hint) run_.hint = word;
}

bool Slab::IsLive(const void* address) const {
  const uint64_t offset = static_cast<uint64_t>(static_cast<const char*>(address) - run_.start);
  return offset % BlockBytes(run_.size_class) == 0 && IsInLiveBlock(address);
}

bool Slab::IsInLiveBlock(const void* address) const {
  const uint64_t index = IndexOf(address);
  return index < EndBlock(run_.size_class) && Bit(index);
}

}  // namespace morsel::alloc
