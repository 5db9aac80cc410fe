// One slab: blocks of equal size, and the bits that say which of them are allocated.
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
  /// `segment` describes the slab and outlives this object: its head and start are set, and
  /// BecomeSlab() has set the rest.
  explicit Slab(Segment& segment) : segment_(segment) {}

  /// Writes the header and the bits of a slab in which no block is allocated. The units are free,
  /// and the heads that covered them before are flushed: the fence here makes their removal
  /// durable, too. The caller publishes the slab's head afterwards.
  /// Durability  on return.
  void Make(pmem::Persist persist);

  /// Adopts a slab that was found on the medium: checks its header and, unless `read_only`, merges
  /// what others had freed. `unclean`: the last process did not close the heap, so all bits are
  /// made durable before they are trusted.
  /// Durability  on return, if `unclean` and not `read_only`.
  /// Errors      kCorrupt: there is no header of this slab.
  Status Adopt(pmem::Persist persist, bool unclean, bool read_only);

  /// Allocates the lowest free blocks of one word of bits, at most `count_max`, with one store.
  /// Returns their bits, or 0 if none is free. If the word has more free blocks than `count_max`,
  /// only adjacent ones are taken, so that there may be fewer. Ends the process if one of them was
  /// freed twice.
  uint64_t Take(uint64_t word, uint64_t count_max);

  /// Frees the block that begins at `block`, with one store. Returns false and does nothing if no
  /// allocated block begins there.
  bool Give(const void* block) {
    const Segment::Place place = PlaceOf(block);
    const Found found = Find(place.index);
    if (!place.is_start || !found.IsSet()) return false;
    found.Clear();
    return true;
  }
  /// Which block covers an address in the slab.
  /// Threads  any.
  Segment::Place PlaceOf(const void* block) const { return segment_.PlaceOf(OffsetOf(block)); }

  /// The bit of a block: the word that holds it, and the value that the word had when Find()
  /// looked.
  struct Found {
    uint64_t* word;
    uint64_t bits;
    uint64_t index;  ///< of the block; its lower six bits say which bit of the word

    bool IsSet() const { return ((bits >> (index % 64)) & 1) != 0; }
    void Clear() const {
      // The word is loaded and the mask computed again, because free() has no registers left to
      // keep them in: it would have to save one on every call.
      uint64_t bit = index;
      asm("" : "+r"(bit));
      pmem::Store(word, pmem::Load(word) & ~(uint64_t{1} << (bit % 64)));
    }
  };
  /// Looks up the bit of block `index`, which may be the index of no block.
  Found Find(uint64_t index) const {
    uint64_t* const word = Bits(index / 64);
    return {word, pmem::Load(word), index};
  }

  /// As Give(), but ends the process where Give() returns false.
  void GiveOrDie(const void* block) {
    const uint64_t index = LiveIndex(block, "free");
    if (!Give(block)) DieOf(block, {index, true}, "free");
  }

  /// Marks allocated blocks of a word as freed, for the holder to find with Fold(). Ends the
  /// process if one of them is marked already.
  /// Threads  any.
  void GiveAsOther(uint64_t word, uint64_t bits);
  /// Ends the process with the message of a block that is freed twice.
  /// Threads  any.
  [[noreturn, gnu::cold]] void DieOfTwice(const void* block) const {
    DieOf(block, PlaceOf(block), "free");
  }

  /// Frees the blocks that others have marked as freed: merges `freed` into `bits`.
  void Fold();

  /// Whether a block of the line is free or marked as freed.
  /// Threads  any.
  bool HasRoom(uint64_t line) const;
  /// Whether a block is free. Blocks that are only marked as freed do not count.
  bool HasRoom() const;
  /// Whether all blocks are free. A block that is only marked as freed counts as allocated.
  bool IsEmpty() const;
  /// How many blocks are allocated. A block that is only marked as freed counts as allocated.
  uint64_t UsedCount() const;

  /// The index of the allocated block that begins at `block`, an address in the slab. Ends the
  /// process if there is none; the message names the `call`.
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

  /// Whether the block of that index, which may be of no block, is allocated.
  /// Threads  any.
  bool Bit(uint64_t index) const {
    const BitPair& pair = Pairs()[index / 64];
    const uint64_t allocated = pmem::Load(&pair.bits) & ~pmem::Load(&pair.freed);
    return (allocated >> (index % 64)) & 1;
  }

  /// Whether `address` is where a block begins, be it allocated or not.
  /// Threads  any.
  bool IsStart(const void* address) const { return segment_.PlaceOf(OffsetOf(address)).is_start; }

  /// Calls `each(counter, line)` for each line that holds the bit of a block that [begin, end)
  /// touches. The range lies in the slab and is not empty.
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
  /// Which of the word's 64 indices are free blocks.
  /// Threads  any.
  uint64_t Free(uint64_t word) const { return ~pmem::Load(Bits(word)) & Blocks(word); }
  /// Which of the word's 64 indices are allocated blocks.
  /// Threads  any.
  uint64_t Allocated(uint64_t word) const;
  /// Which of the word's 64 indices are blocks at all.
  uint64_t Blocks(uint64_t word) const;
  /// How many words of bits there are; the first ones may be of no block.
  uint64_t WordCount() const { return DivideUp(segment_.end_block, 64); }

 private:
  uint64_t OffsetOf(const void* address) const {
    return static_cast<uint64_t>(static_cast<const char*>(address) - segment_.start);
  }
  uint64_t* Bits(uint64_t word) const { return &Pairs()[word].bits; }
  uint64_t* Freed(uint64_t word) const { return &Pairs()[word].freed; }
  [[noreturn, gnu::cold]] void DieOf(const void* block, Segment::Place place,
                                     const char* call) const;

  Segment& segment_;
};

}  // namespace morsel::alloc
