// From an address to the slab or the extent that covers it: a word for each unit of
// the range, in memory that is taken as it is touched.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "alloc/heap/segments/segment.h"
#include "base/result.h"

namespace morsel::alloc {

/// What is needed to look at a table: a copy serves as long as the table lives.
/// Threads  any.
struct SegmentView {
  uint64_t base = 0;
  uint64_t unit_count = 0;
  const std::atomic<Segment*>* segments = nullptr;

  /// The segment that covers the address, if that was entered. Any address may be asked for.
  Segment* At(const void* address) const {
    const uint64_t unit = (reinterpret_cast<uint64_t>(address) - base) / kUnitBytes;
    return unit < unit_count ? segments[unit].load(std::memory_order_acquire) : nullptr;
  }
};

/// Threads  At() and view() any; Enter() and Forget() one at a time.
class SegmentTable {
 public:
  SegmentTable() = default;
  ~SegmentTable();
  SegmentTable(const SegmentTable&) = delete;
  SegmentTable& operator=(const SegmentTable&) = delete;

  /// For `capacity_bytes` from `base` on.
  /// Errors  kNoMemory.
  Status Reserve(const void* base, uint64_t capacity_bytes);

  const SegmentView& view() const { return view_; }
  Segment* At(const void* address) const { return view_.At(address); }

  void Enter(Segment* segment) { Fill(segment->start, segment->end(), segment); }
  /// Where it covers [begin, end): an extent may be long, and little of it in use.
  void Enter(Segment* segment, const char* begin, const char* end) {
    Fill(std::max<const char*>(begin, segment->start), std::min(end, segment->end()), segment);
  }
  void Forget(const Segment& segment) { Fill(segment.start, segment.end(), nullptr); }

 private:
  void Fill(const char* begin, const char* end, Segment* value);

  SegmentView view_;
  std::atomic<Segment*>* segments_ = nullptr;
};

}  // namespace morsel::alloc
