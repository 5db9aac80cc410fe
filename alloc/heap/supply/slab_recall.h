// Takes slabs back from the threads that hold them, when units or blocks are short.
#pragma once

#include <cstdint>

#include "alloc/heap/segments/central_slabs.h"
#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/supply/known_segments.h"
#include "alloc/heap/threads/thread_parts.h"
#include "base/result.h"

namespace morsel::alloc {

/// Threads  the holder of the heap's lock.
class SlabRecall {
 public:
  /// Ownership  all of them outlive this object.
  SlabRecall(UnitMap& units, SegmentTable& table, CentralSlabs& central, ThreadParts& parts,
             KnownSegments& known)
      : units_(units), table_(table), central_(central), parts_(parts), known_(known) {}

  /// Releases all slabs in which no block is allocated. Before that, adopts at most `heads_max`
  /// more heads that an earlier process left. Looks only at slabs of which something was freed
  /// since the last time. Closes the gate meanwhile.
  Status ReleaseEmpty(uint64_t heads_max);
  /// Takes from all threads the slabs with room, for any of them to lease. The gate is closed.
  void TakeAll();

  /// How many slabs were looked at by the two.
  uint64_t slabs_searched() const { return slabs_searched_; }

 private:
  void ReleaseIfEmpty(Segment& slab);

  UnitMap& units_;
  SegmentTable& table_;
  CentralSlabs& central_;
  ThreadParts& parts_;
  KnownSegments& known_;
  uint64_t slabs_searched_ = 0;
};

}  // namespace morsel::alloc
