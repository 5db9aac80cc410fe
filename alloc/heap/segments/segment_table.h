// Finds the slab or the extent that covers an address. The table has one word for each
// unit of the range; the kernel provides its pages as they are touched.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "alloc/heap/segments/segment.h"
#include "base/result.h"

namespace morsel::alloc {

/// All that a look-up needs. A copy is valid as long as the table lives.
/// Threads  any.
struct SegmentView {
  uint64_t base = 0;
  uint64_t unit_count = 0;
  const std::atomic<Segment*>* segments = nullptr;

  /// The segment that was entered for the address's unit, or nullptr. Any address is allowed.
  Segment* At(const void* address) const {
    const uint64_t unit = (reinterpret_cast<uint64_t>(address) - base) / kUnitBytes;
    return unit < unit_count ? segments[unit].load(std::memory_order_acquire) : nullptr;
  }
};

/// Threads  At() and view(): any, once Reserve() has returned. Enter() and Forget(): one at a time.
class SegmentTable {
 public:
  SegmentTable() = default;
  ~SegmentTable();
  SegmentTable(const SegmentTable&) = delete;
  SegmentTable& operator=(const SegmentTable&) = delete;

  /// Makes an empty table for `capacity_bytes` from `base` on. Call it once, before all else.
  /// Errors  kNoMemory.
  Status Reserve(const void* base, uint64_t capacity_bytes);

  const SegmentView& view() const { return view_; }
  Segment* At(const void* address) const { return view_.At(address); }

  /// At() finds the segment from now on.
  void Enter(Segment* segment) { Fill(segment->start, segment->end(), segment); }
  /// Enters only the segment's units that [begin, end) touches, because an extent may be long and
  /// little of it in use.
  void Enter(Segment* segment, const char* begin, const char* end) {
    Fill(std::max<const char*>(begin, segment->start), std::min(end, segment->end()), segment);
  }
  /// Empties the words of all of the segment's units.
  void Forget(const Segment& segment) { Fill(segment.start, segment.end(), nullptr); }

 private:
  void Fill(const char* begin, const char* end, Segment* value);

  SegmentView view_;
  std::atomic<Segment*>* segments_ = nullptr;
};

}  // namespace morsel::alloc
