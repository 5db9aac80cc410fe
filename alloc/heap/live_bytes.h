// How much of a heap is in use, counted once, and then kept.
//
// Every block whose bit is set counts. Whoever sets or clears bits keeps account of how
// many bytes they are for: a ThreadHeap by itself (ThreadHeap::TakeLiveChange()), so
// that malloc and free do nothing for it, and Extents. The blocks in magazines have their
// bits set, too, and are put back while the gate is closed.
#pragma once

#include <cstdint>
#include <optional>

#include "alloc/heap/heap_walk.h"
#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/supply/extents.h"
#include "alloc/heap/threads/thread_parts.h"
#include "base/result.h"

namespace morsel::alloc {

/// Threads  who has stopped the world.
class LiveBytes {
 public:
  /// `recorded`: how many they were when the heap was last closed; nothing: they will be counted.
  /// Ownership  all of them outlive this object.
  LiveBytes(const UnitMap& units, ThreadParts& parts, Extents& extents, HeapWalk& walk,
            std::optional<uint64_t> recorded);

  /// How many bytes all live blocks have together.
  /// Errors  kCorrupt, kNoMemory.
  /// Cost    by the number of threads. The first call reads every slab's bits, if nothing was
  ///         recorded.
  Result<uint64_t> Sum();
  /// Slabs whose bits were counted.
  uint64_t slabs_counted() const { return slabs_counted_; }

 private:
  void CollectChanges();
  Result<uint64_t> Count();

  const UnitMap& units_;
  ThreadParts& parts_;
  Extents& extents_;
  HeapWalk& walk_;
  /// Without what others have not told yet; nothing: not counted yet.
  std::optional<int64_t> bytes_;
  uint64_t slabs_counted_ = 0;
};

}  // namespace morsel::alloc
