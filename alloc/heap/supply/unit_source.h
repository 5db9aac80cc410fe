// Where free units come from: those that are free, those of empty slabs, and those that the
// range grows by.
#pragma once

#include <cstdint>

#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/supply/heap_range.h"
#include "alloc/heap/supply/known_segments.h"
#include "alloc/heap/supply/slab_recall.h"
#include "base/result.h"

namespace morsel::alloc {

/// Threads  the holder of the heap's lock.
class UnitSource {
 public:
  /// Ownership  all of them outlive this object.
  UnitSource(UnitMap& units, HeapRange& range, KnownSegments& known, SlabRecall& recall)
      : units_(units), range_(range), known_(known), recall_(recall) {}

  /// Finds units aligned to `liked` or, if there are none, to `least`, and returns the first. They
  /// stay free.
  /// Units   least, liked: units, powers of two.
  /// Errors  kNoSpace (without a message; HeapRange::NoRoomFor() has one); kCorrupt, kNoMemory.
  Result<UnitIndex> Find(UnitCount count, uint64_t least, uint64_t liked);
  /// Whether the `count` units behind an extent are free. If it is the last segment, the range
  /// grows for them.
  /// Errors  kCorrupt, kNoMemory.
  Result<bool> AreFreeBehind(const Segment& extent, UnitCount count);

 private:
  UnitMap& units_;
  HeapRange& range_;
  KnownSegments& known_;
  SlabRecall& recall_;
};

}  // namespace morsel::alloc
