#include "alloc/heap/supply/heap_range.h"

#include <algorithm>
#include <cinttypes>

#include "base/bits.h"
#include "base/error.h"

namespace morsel::alloc {
namespace {

/// A range grows by a 64th of its size, so that little is unused and growing is rare.
constexpr uint64_t kGrowthPart = 64;

}  // namespace

bool HeapRange::GrowFor(UnitCount count, uint64_t alignment, bool asks_more) {
  if (enlarge_ == nullptr) return false;
  const Result<UnitIndex> end = units_.EndOfUsed();
  if (!end) return false;
  const uint64_t now = size_bytes();
  const uint64_t capacity = header_.capacity_bytes;
  const uint64_t need = AlignUp(
      (units_.AlignedUnit(end->value(), alignment) + count.value()) * kUnitBytes, kSubtreeBytes);
  if (need > capacity) return false;
  const uint64_t more = asks_more ? AlignDown(now + now / kGrowthPart, kSubtreeBytes) : need;
  const uint64_t liked = std::min(std::max(need, more), capacity);
  // To ask for no more than there is would be to shrink.
  if (liked <= now) return false;
  Result<uint64_t> grown = enlarge_(liked);
  if (!grown && now < need && need < liked) grown = enlarge_(need);
  if (!grown) failure_ = LastError();
  failure_code_ = grown.error();
  if (!grown || *grown <= now) return false;
  units_.Grow(std::min(*grown, capacity));
  return true;
}

Status HeapRange::NoRoomFor(UnitCount units, uint64_t alignment) const {
  const uint64_t now = size_bytes();
  const uint64_t capacity = header_.capacity_bytes;
  std::string what = std::to_string(units.value() * kUnitBytes) + " bytes in one piece";
  if (alignment > 1) {
    what += " at a multiple of " + std::to_string(alignment * kUnitBytes);
    // The header has the first unit.
    const uint64_t first = units_.AlignedUnit(1, alignment);
    if (first + units.value() > capacity / kUnitBytes) {
      return Fail(Code::kNoSpace,
                  "the morsel at %p can have no %s, however much is free: none lies behind its "
                  "header in its capacity of %" PRIu64
                  " bytes; ask for a smaller alignment, or give "
                  "it a larger capacity with 'morselctl rebase POOL NAME --capacity SIZE'",
                  static_cast<const void*>(&header_), what.c_str(), capacity);
    }
  }
  const bool has_tried_to_grow = failure_code_ != Code::kOk;
  const bool has_place = units.value() * kUnitBytes <= capacity - now;
  std::string why;
  if (has_tried_to_grow) {
    why = "it cannot grow: " + failure_;
    if (failure_code_ == Code::kNoSpace) why += "; or free something";
  } else if (enlarge_ != nullptr || !has_place) {
    why = "its capacity is " + std::to_string(capacity) +
          ": free something, or give it a larger one with 'morselctl rebase POOL NAME --capacity "
          "SIZE'";
  } else {
    why = "free something, or enlarge it with morsel_resize or 'morselctl resize'";
  }
  return Fail(has_tried_to_grow ? failure_code_ : Code::kNoSpace,
              "the morsel at %p has no %s left in its %" PRIu64 " bytes; %s",
              static_cast<const void*>(&header_), what.c_str(), now, why.c_str());
}

}  // namespace morsel::alloc
