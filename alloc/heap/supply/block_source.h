// Where small blocks come from that a thread's own slabs do not have: a known slab with
// room; a slab that an earlier process left; a new slab; and, where the range is full, any
// free block or units that are large enough, so that "no space" means that there is none.
#pragma once

#include <array>
#include <cstdint>

#include "alloc/heap/segments/central_slabs.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/supply/extents.h"
#include "alloc/heap/supply/heap_facts.h"
#include "alloc/heap/supply/heap_range.h"
#include "alloc/heap/supply/host_memory.h"
#include "alloc/heap/supply/known_segments.h"
#include "alloc/heap/supply/slab_recall.h"
#include "alloc/heap/supply/unit_source.h"
#include "alloc/heap/threads/thread_parts.h"
#include "base/result.h"

namespace morsel::alloc {

/// What of a heap's parts a BlockSource works on.
/// Ownership  all of them outlive it.
struct BlockSourceParts {
  UnitMap& units;
  SegmentTable& table;
  CentralSlabs& central;
  ThreadParts& threads;
  KnownSegments& known;
  SlabRecall& recall;
  HeapRange& range;
  UnitSource& source;
  HostMemory& host;
  Extents& extents;
};

/// Threads  the holder of the heap's lock.
class BlockSource {
 public:
  BlockSource(const HeapFacts& facts, const BlockSourceParts& parts)
      : facts_(facts), parts_(parts) {}

  /// Whether blocks of the class are aligned to so many bytes, a power of two.
  static bool IsAligned(unsigned size_class, uint64_t alignment) {
    return (BlockBytes(size_class) & (alignment - 1)) == 0;
  }
  /// Allocates a block of the class for the calling thread, of which `mine` is the part.
  /// Durability  of a slab that is made: on return. Of the block: none.
  /// Units       alignment: bytes; blocks of the class have it.
  /// Errors      kNoSpace, kCorrupt, kNoMemory.
  Result<void*> Allocate(ThreadHeap& mine, unsigned size_class, uint64_t alignment);

 private:
  Result<void*> TakeWhateverFits(unsigned size_class, uint64_t alignment);
  void* TakeLarger(ThreadHeap& mine, unsigned size_class, uint64_t alignment);
  unsigned ClassForFirstBlocks(unsigned size_class);
  Result<Segment*> MakeOrTakeSlab(ThreadHeap& mine, unsigned size_class);
  Result<Segment*> MakeSlab(unsigned size_class);

  const HeapFacts& facts_;
  const BlockSourceParts parts_;
  /// By class: bytes of blocks of another class that were handed out instead.
  std::array<uint64_t, kClassCount> shared_bytes_{};
  /// How many more times a block that finds no room in its class may be one of a larger class
  /// before anything else is tried. The range was full lately.
  uint64_t searches_spared_ = 0;
};

}  // namespace morsel::alloc
