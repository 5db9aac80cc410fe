// Large blocks: each is an extent, that is one segment by itself.
#pragma once

#include <cstdint>
#include <utility>

#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/supply/heap_facts.h"
#include "alloc/heap/supply/heap_range.h"
#include "alloc/heap/supply/host_memory.h"
#include "alloc/heap/supply/known_segments.h"
#include "alloc/heap/supply/unit_source.h"
#include "alloc/heap/threads/free_budget.h"
#include "base/result.h"

namespace morsel::alloc {

/// Threads  the holder of the heap's lock.
class Extents {
 public:
  /// Ownership  all of them outlive this object.
  Extents(const HeapFacts& facts, UnitMap& units, SegmentTable& table, const FreeBudget& budget,
          KnownSegments& known, HeapRange& range, UnitSource& source, HostMemory& host)
      : facts_(facts),
        units_(units),
        table_(table),
        budget_(budget),
        known_(known),
        range_(range),
        source_(source),
        host_(host) {}

  struct Extent {
    char* start;
    char* never_used;  ///< where it begins to be zero; behind its end if that is not known
  };
  /// Allocates one of at least size_bytes.
  /// Durability  none; its head is flushed with the first flush of a byte of it.
  /// Units       alignment: bytes, a power of two.
  /// Errors      kNoSpace, kCorrupt, kNoMemory.
  Result<Extent> Allocate(uint64_t size_bytes, uint64_t alignment);
  /// Frees one.
  /// Durability  bounded by FreeBudget::OfExtents().
  void Release(Segment& extent);
  /// Makes one longer or shorter where it is. Returns false if it must move: units behind it are in
  /// use, or the new size is a small block's.
  /// Durability  as Allocate() and Release().
  /// Errors      kCorrupt, kNoMemory.
  Result<bool> Resize(Segment& extent, uint64_t size_bytes);

  /// How many bytes more all extents have than at the last call.
  int64_t TakeLiveChange() { return std::exchange(live_change_, 0); }

 private:
  void ForgetInTable(Segment& extent);
  void BoundCleared();

  const HeapFacts& facts_;
  UnitMap& units_;
  SegmentTable& table_;
  const FreeBudget& budget_;
  KnownSegments& known_;
  HeapRange& range_;
  UnitSource& source_;
  HostMemory& host_;
  int64_t live_change_ = 0;
};

}  // namespace morsel::alloc
