// The slabs with room that no thread holds, for any thread to lease.
#pragma once

#include <array>
#include <cstdint>

#include "alloc/heap/layout/size_class.h"
#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/slab.h"

namespace morsel::alloc {

/// Threads  the holder of the heap's lock.
class CentralSlabs {
 public:
  /// Takes in a slab that has no owner, if it has room.
  void ListIfRoom(Segment* segment) {
    if (!Slab(*segment).HasRoom()) return;
    touched_.Add(*segment);  // it may be empty
    segment->flags |= Segment::kAtHand;
    listed_[segment->size_class].Append(segment);
  }
  bool HasNone(unsigned size_class) const { return listed_[size_class].first() == nullptr; }
  /// Removes a slab of the class for a thread to lease; nullptr if there is none.
  Segment* Pop(unsigned size_class) {
    Segment* const segment = listed_[size_class].PopLow();
    if (segment != nullptr) segment->flags &= static_cast<uint8_t>(~Segment::kAtHand);
    return segment;
  }
  /// Removes this one, which is listed.
  void Remove(Segment& segment) {
    segment.flags &= static_cast<uint8_t>(~Segment::kAtHand);
    listed_[segment.size_class].Remove(&segment);
  }
  /// Of which something was freed since somebody looked whether they are empty: slabs without an
  /// owner, and what ended threads have left.
  TouchedSlabs& touched() { return touched_; }

 private:
  std::array<SlabList, kClassCount> listed_;
  TouchedSlabs touched_;
};

}  // namespace morsel::alloc
