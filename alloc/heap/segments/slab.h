// One slab: equal blocks, and the bits that say which are allocated.
#pragma once

#include <bit>

#include "alloc/heap/segments/segment.h"
#include "base/bits.h"
#include "base/result.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// Threads  the slab's holder [RUN-1], unless said otherwise.
class Slab {
 public:
  /// `segment` describes a slab: head, start, and by BecomeSlab() its class.
  explicit Slab(Segment& segment) : segment_(segment) {}

  /// Writes header and bits of a slab without blocks, flushed and fenced.
  /// The units are free and settled; the head is the caller's to publish afterwards.
  void Make(pmem::Persist persist);

  /// Takes up a slab found on the medium: counts it, and, unless `read_only`, folds what was freed
  /// and, after an unclean end, makes durable what it reads.
  /// Errors  kCorrupt.
  Status Adopt(pmem::Persist persist, bool unclean, bool read_only);

  /// Allocates free blocks of 64 indices, the lowest, at most so many: stores one word.
  /// Answers their bits.
  uint64_t Take(uint64_t word, uint64_t count_max);

  /// Frees the block that begins at `block`: stores one word. False, and nothing is done, if there
  /// is no allocated one.
  bool Give(const void* block) {
    const Segment::Place place = PlaceOf(block);
    const Found found = Find(place.index);
    if (!place.is_start || !found.IsSet()) return false;
    found.Clear();
    return true;
  }
  Segment::Place PlaceOf(const void* block) const { return segment_.PlaceOf(OffsetOf(block)); }

  /// The bit of a block, and the word that it is in, as it was when it was looked at.
  struct Found {
    uint64_t* word;
    uint64_t bits;
    uint64_t index;  ///< of it the lower six bits count

    bool IsSet() const { return ((bits >> (index % 64)) & 1) != 0; }
    void Clear() const {
      // Both are had anew, for free() has no registers to keep them in meanwhile: it would have to
      // save one first, each time.
      uint64_t bit = index;
      asm("" : "+r"(bit));
      pmem::Store(word, pmem::Load(word) & ~(uint64_t{1} << (bit % 64)));
    }
  };
  Found Find(uint64_t index) const {
    uint64_t* const word = Bits(index / 64);
    return {word, pmem::Load(word), index};
  }

  /// As Give(), or the process ends.
  void GiveOrDie(const void* block) {
    const uint64_t index = LiveIndex(block, "free");
    if (!Give(block)) DieOf(block, {index, true}, "free");
  }

  /// Marks allocated blocks of a word as freed, for the holder to find. Ends the process if one is
  /// marked.
  /// Threads  any.
  void GiveAsOther(uint64_t word, uint64_t bits);
  /// Ends the process: the block is not allocated.
  /// Threads  any.
  [[noreturn, gnu::cold]] void DieOfTwice(const void* block) const {
    DieOf(block, PlaceOf(block), "free");
  }

  /// Frees what others have freed.
  void Fold();

  /// Whether a block of the line is free, as far as the medium is concerned.
  /// Threads  any.
  bool HasRoom(uint64_t line) const;
  /// Whether a block is free; whether all are.
  bool HasRoom() const;
  bool IsEmpty() const;

  /// The index of the allocated block that begins at `block`, an address in the slab, or the
  /// process ends.
  /// Threads  any.
  uint64_t LiveIndex(const void* block, const char* call) const {
    const Segment::Place place = segment_.PlaceOf(OffsetOf(block));
    if (!place.is_start || !Bit(place.index)) [[unlikely]]
      DieOf(block, place, call);
    return place.index;
  }

  /// Whether `address` lies in an allocated block.
  /// Threads  any.
  bool IsInLiveBlock(const void* address) const {
    const uint64_t index = segment_.PlaceOf(OffsetOf(address)).index;
    return index < segment_.end_block && index >= segment_.first_block && Bit(index);
  }

  /// Calls `each(counter, line)` for the lines of bits of all blocks that [begin, end) touches.
  /// Threads  any.
  template <class Each>
  void ForEachLine(const char* begin, const char* end, Each each) const {
    const uint64_t first = segment_.PlaceOf(OffsetOf(begin)).index / kBlocksPerLine;
    const uint64_t last = segment_.PlaceOf(OffsetOf(end - 1)).index / kBlocksPerLine;
    for (uint64_t line = first; line <= last && line < kBitLinesMax; ++line) {
      each(segment_.lines[line], LineAt(line));
    }
  }

  SlabHeader* Header() const { return reinterpret_cast<SlabHeader*>(segment_.start); }
  BitPair* Pairs() const { return segment_.pairs; }
  const void* LineAt(uint64_t line) const { return &Pairs()[line * kPairsPerLine]; }

  char* BlockAt(uint64_t index) const {
    return segment_.start + index * uint64_t{segment_.block_bytes};
  }
  /// The bits of 64 indices, of blocks only, that are free.
  /// Threads  any.
  uint64_t Free(uint64_t word) const { return ~pmem::Load(Bits(word)) & Blocks(word); }
  /// The bits of 64 indices, of blocks only, that are allocated.
  /// Threads  any.
  uint64_t Allocated(uint64_t word) const;
  /// Which of 64 indices are blocks.
  uint64_t Blocks(uint64_t word) const;
  uint64_t WordCount() const { return DivideUp(segment_.end_block, 64); }

 private:
  uint64_t OffsetOf(const void* address) const {
    return static_cast<uint64_t>(static_cast<const char*>(address) - segment_.start);
  }
  uint64_t* Bits(uint64_t word) const { return &Pairs()[word].bits; }
  uint64_t* Freed(uint64_t word) const { return &Pairs()[word].freed; }
  bool Bit(uint64_t index) const {
    const BitPair& pair = Pairs()[index / 64];
    const uint64_t allocated = pmem::Load(&pair.bits) & ~pmem::Load(&pair.freed);
    return (allocated >> (index % 64)) & 1;
  }
  [[noreturn, gnu::cold]] void DieOf(const void* block, Segment::Place place,
                                     const char* call) const;

  Segment& segment_;
};

}  // namespace morsel::alloc
