// One slab: equal blocks, and the bits that say which are allocated.
#pragma once

#include "alloc/run.h"
#include "base/result.h"
#include "pmem/persist.h"

namespace morsel::alloc {

/// Threads  one call at a time: the heap's lock is held.
class Slab {
 public:
  /// `run` describes a slab: head, size_class and start are set.
  explicit Slab(Run& run) : run_(run) {}

  /// Writes header and bits of a slab without blocks, flushed and fenced.
  /// The units are free and settled; the head is the caller's to publish afterwards.
  void Make(pmem::Persist persist);

  /// Takes up a slab found on the medium: counts it, and, unless `read_only`, folds what was freed
  /// and, after an unclean end, makes durable what it reads.
  /// Errors  kCorrupt.
  Status Adopt(pmem::Persist persist, bool unclean, bool read_only);

  /// Takes the first free block: stores its bit, nothing more. nullptr if all are allocated.
  void* Take();

  /// Frees a block: stores its bit, nothing more. Ends the process if it is no block's start or
  /// not allocated.
  void Give(void* block);

  /// Whether `address` is the start of an allocated block.
  bool IsLive(const void* address) const;

  /// Whether `address` lies in an allocated block.
  bool IsInLiveBlock(const void* address) const;

  /// Flushes the lines of bits of all blocks that [begin, end) touches and that are not durable;
  /// `wanted(counter, seen)` is told of each, for the fence to come, and answers whether to.
  template <class Wanted>
  void FlushBits(const char* begin, const char* end, pmem::Persist persist, Wanted wanted) {
    const uint64_t first = IndexOf(begin) / kBlocksPerLine;
    const uint64_t last = IndexOf(end - 1) / kBlocksPerLine;
    for (uint64_t line = first; line <= last && line < BitLineCount(run_.size_class); ++line) {
      LineCounter& counter = run_.lines[line];
      const uint64_t seen = counter.stored.load(std::memory_order_acquire);
      if (counter.durable.load(std::memory_order_acquire) >= seen) continue;
      if (wanted(&counter, seen)) persist.Flush(&Lines()[line], sizeof(BitLine));
    }
  }

  SlabHeader* Header() const { return reinterpret_cast<SlabHeader*>(run_.start); }
  BitLine* Lines() const { return reinterpret_cast<BitLine*>(run_.start + sizeof(SlabHeader)); }

  /// The bits of 64 indices, of blocks only, that are allocated.
  uint64_t Allocated(uint64_t word) const;
  /// Which of 64 indices are blocks.
  uint64_t Blocks(uint64_t word) const;
  uint64_t WordCount() const { return DivideUp(EndBlock(run_.size_class), 64); }

 private:
  uint64_t IndexOf(const void* address) const {
    return static_cast<uint64_t>(static_cast<const char*>(address) - run_.start) /
           BlockBytes(run_.size_class);
  }
  uint64_t* Bits(uint64_t word) const { return &Lines()[word / 4].bits[word % 4]; }
  uint64_t* Freed(uint64_t word) const { return &Lines()[word / 4].freed[word % 4]; }
  bool Bit(uint64_t index) const { return (Allocated(index / 64) >> (index % 64)) & 1; }

  Run& run_;
};

}  // namespace morsel::alloc
