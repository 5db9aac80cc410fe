#include "alloc/heap/live_bytes.h"

#include "alloc/heap/segments/slab.h"
#include "base/bits.h"
#include "base/error.h"

namespace morsel::alloc {

LiveBytes::LiveBytes(const UnitMap& units, ThreadParts& parts, Extents& extents, HeapWalk& walk,
                     std::optional<uint64_t> recorded)
    : units_(units), parts_(parts), extents_(extents), walk_(walk) {
  if (recorded) bytes_ = static_cast<int64_t>(*recorded);
}

Result<uint64_t> LiveBytes::Sum() {
  CollectChanges();
  const auto is_possible = [this] {
    return *bytes_ >= 0 && static_cast<uint64_t>(*bytes_) <= units_.unit_count() * kUnitBytes;
  };
  // What was recorded with the heap may be damaged.
  if (!bytes_ || !is_possible()) {
    const Result<uint64_t> counted = Count();
    if (!counted) return counted.status();
    bytes_ = static_cast<int64_t>(*counted);
  }
  return static_cast<uint64_t>(*bytes_);
}

// If nothing was counted yet, what others have kept account of is dropped: counting will find it.
void LiveBytes::CollectChanges() {
  int64_t change = extents_.TakeLiveChange();
  for (ThreadHeap* one = parts_.first(); one != nullptr; one = one->next) {
    change += one->TakeLiveChange();
  }
  if (bytes_) *bytes_ += change;
}

Result<uint64_t> LiveBytes::Count() {
  uint64_t live_bytes = 0;
  MORSEL_TRY(walk_.ForEachSegment(UnitIndex(0), [&](Segment& segment) {
    uint64_t blocks = 1;
    if (segment.IsSlab()) {
      const Slab slab(segment);
      blocks = 0;
      for (uint64_t i = 0; i < slab.WordCount(); ++i) {
        blocks += CountBits(slab.Allocated(i));
      }
      ++slabs_counted_;
    }
    live_bytes += blocks * segment.UsableBytes();
    return true;
  }));
  return live_bytes;
}

}  // namespace morsel::alloc
