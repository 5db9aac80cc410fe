// One slab: equal blocks, and the bits that say which are allocated.
#pragma once

#include <bit>

#include "alloc/run.h"
#include "base/bits.h"
#include "base/result.h"
#include "pmem/persist.h"

namespace morsel::alloc {

/// The free blocks of one word of bits, reserved for the slab's holder. Its line is open.
struct FreeWord {
  uint64_t mask = 0;         ///< free, and not handed out yet
  uint64_t* bits = nullptr;  ///< nullptr: of no slab
  char* first = nullptr;     ///< where the block of bit 0 would be
  LineCounter* line = nullptr;
  uint32_t block_bytes = 0;
  uint32_t next_word = 0;  ///< of the slab, to be looked at next

  /// One of them, allocated: stores its bit, nothing more. `mask` is not 0.
  void* Take() {
    const uint64_t free = mask;
    const int bit = std::countr_zero(free);
    mask = free & (free - 1);
    uint64_t* const word = bits;
    pmem::Store(word, pmem::Load(word) | uint64_t{1} << bit);
    return first + static_cast<uint64_t>(bit) * uint64_t{block_bytes};
  }
};

/// Threads  the slab's holder [RUN-1], unless said otherwise.
class Slab {
 public:
  /// `run` describes a slab: head, start, and by BecomeSlab() its class.
  explicit Slab(Run& run) : run_(run) {}

  /// Writes header and bits of a slab without blocks, flushed and fenced.
  /// The units are free and settled; the head is the caller's to publish afterwards.
  void Make(pmem::Persist persist);

  /// Takes up a slab found on the medium: counts it, and, unless `read_only`, folds what was freed
  /// and, after an unclean end, makes durable what it reads.
  /// Errors  kCorrupt.
  Status Adopt(pmem::Persist persist, bool unclean, bool read_only);

  /// Reserves the free blocks of the first word from next_word on that has some. False if there is
  /// none.
  bool Reserve(FreeWord* word);

  /// Gives back what is left of it. No block is in reserve then.
  void Unreserve(FreeWord* word) {
    if (word->bits == nullptr) return;
    word->line->Close();
    word->mask = 0;
    word->bits = nullptr;
  }

  /// Frees the block that begins at `block`: stores its bit, nothing more; the slab is open, or is
  /// opened at once. False, and nothing is done, if there is no allocated one, or if others' frees
  /// are to be folded first. `reserved` may be of this slab or of another.
  bool Give(const void* block) { return Give(Find(block)); }

  /// Where the bits are of the block that begins at an address in the slab.
  struct Found {
    BitPair* pair;
    uint64_t bit;  ///< 0 if none begins there

    /// Whether it is allocated. Threads  any.
    bool IsLive() const { return (pmem::Load(&pair->bits) & ~pmem::Load(&pair->freed) & bit) != 0; }
  };
  Found Find(const void* block) const {
    const Run::Place place = run_.PlaceOf(OffsetOf(block));
    BitPair* const pair = &Pairs()[place.index / 64];
    if (!place.is_start) [[unlikely]] return {pair, 0};
    return {pair, uint64_t{1} << (place.index % 64)};
  }

  /// As Give(block), of what Find(block) found.
  bool Give(const Found& found) {
    uint64_t& bits = found.pair->bits;
    const uint64_t before = pmem::Load(&bits);
    if ((before & found.bit) == 0 || pmem::Load(&found.pair->freed) != 0) [[unlikely]] return false;
    pmem::Store(&bits, before ^ found.bit);
    FreeWord& reserved = *run_.reserved;
    if (&bits == reserved.bits) reserved.mask |= found.bit;
    return true;
  }

  /// Marks an allocated block as freed, for the holder to find. Ends the process if it is marked.
  /// Threads  any.
  void GiveAsOther(uint64_t index, const void* block);

  /// Whether others have freed something in the line that is not folded. Threads  any.
  bool HasFreed(uint64_t line) const;

  /// Frees what others have freed.
  void Fold();

  /// Whether a block is free; whether all are.
  bool HasRoom() const;
  bool IsEmpty() const;

  /// The index of the allocated block that begins at `block`, an address in the slab, or the
  /// process ends. Threads  any.
  uint64_t LiveIndex(const void* block, const char* call) const {
    const Run::Place place = run_.PlaceOf(OffsetOf(block));
    if (!place.is_start || !Bit(place.index)) [[unlikely]] DieOf(block, place, call);
    return place.index;
  }

  /// Whether `address` lies in an allocated block. Threads  any.
  bool IsInLiveBlock(const void* address) const {
    const uint64_t index = run_.PlaceOf(OffsetOf(address)).index;
    return index < run_.end_block && index >= run_.first_block && Bit(index);
  }

  /// Calls `each(counter, line)` for the lines of bits of all blocks that [begin, end) touches.
  /// Threads  any.
  template <class Each>
  void ForEachLine(const char* begin, const char* end, Each each) const {
    const uint64_t first = run_.PlaceOf(OffsetOf(begin)).index / kBlocksPerLine;
    const uint64_t last = run_.PlaceOf(OffsetOf(end - 1)).index / kBlocksPerLine;
    for (uint64_t line = first; line <= last && line < kBitLinesMax; ++line) {
      each(run_.lines[line], LineAt(line));
    }
  }

  SlabHeader* Header() const { return reinterpret_cast<SlabHeader*>(run_.start); }
  BitPair* Pairs() const { return run_.pairs; }
  const void* LineAt(uint64_t line) const { return &Pairs()[line * kPairsPerLine]; }

  /// The bits of 64 indices, of blocks only, that are allocated. Threads  any.
  uint64_t Allocated(uint64_t word) const;
  /// Which of 64 indices are blocks.
  uint64_t Blocks(uint64_t word) const;
  uint64_t WordCount() const { return DivideUp(run_.end_block, 64); }

 private:
  uint64_t OffsetOf(const void* address) const {
    return static_cast<uint64_t>(static_cast<const char*>(address) - run_.start);
  }
  uint64_t* Bits(uint64_t word) const { return &Pairs()[word].bits; }
  uint64_t* Freed(uint64_t word) const { return &Pairs()[word].freed; }
  bool Bit(uint64_t index) const {
    const BitPair& pair = Pairs()[index / 64];
    const uint64_t allocated = pmem::Load(&pair.bits) & ~pmem::Load(&pair.freed);
    return (allocated >> (index % 64)) & 1;
  }
  [[noreturn, gnu::cold]] void DieOf(const void* block, Run::Place place, const char* call) const;

  Run& run_;
};

}  // namespace morsel::alloc
