#include "morsel/rebase/move.h"

#include "alloc/heap/layout/heap_layout.h"
#include "base/error.h"
#include "base/size_words.h"
#include "morsel/roots/root_table_layout.h"

namespace morsel {

std::optional<uint64_t> Move::Moved(uint64_t address, uint64_t prefix_bytes) const {
  const uint64_t offset = address - from_base;
  if (offset < prefix_bytes) return to_base + offset;
  if (offset < from_capacity_bytes) return to_base + shift_bytes + offset;
  if (offset - from_capacity_bytes < kProcessPageBytes) {
    return to_base + to_capacity_bytes + (offset - from_capacity_bytes);
  }
  return std::nullopt;
}

namespace {

// The largest capacity of whole GiB for which fits(capacity) is true, as it is for `from`.
template <class Fits>
uint64_t CapacityMax(const Fits& fits, uint64_t from) {
  uint64_t low = from / kGiantBytes;
  uint64_t high = kAddressEnd / kGiantBytes;
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    (fits(middle * kGiantBytes) ? low : high) = middle;
  }
  return low * kGiantBytes;
}

}  // namespace

// Whether the heap has a table of roots is known when it is read, so that both must fit.
Result<uint64_t> ShiftFor(uint64_t from_capacity_bytes, uint64_t to_capacity_bytes) {
  if (to_capacity_bytes <= from_capacity_bytes) return 0;
  const auto first_unit = [](uint64_t capacity_bytes, uint64_t table_bytes) {
    return alloc::GeometryOf(capacity_bytes, table_bytes).first_unit;
  };
  const auto fits = [&](uint64_t capacity_bytes) {
    return first_unit(capacity_bytes, 0) <= first_unit(from_capacity_bytes, 0) &&
           first_unit(capacity_bytes, kRootTableBytes) <=
               first_unit(from_capacity_bytes, kRootTableBytes);
  };
  if (fits(to_capacity_bytes)) return 0;
  if (from_capacity_bytes < alloc::kRegionBytes &&
      first_unit(to_capacity_bytes, kRootTableBytes).value() * alloc::kUnitBytes <= kSubtreeBytes) {
    return kSubtreeBytes;
  }
  return Fail(
      Code::kUnsupported,
      "a morsel of a capacity of %s cannot get one of %s: the tables of its heap would need "
      "the place of its first blocks; it can have at most %s",
      FormatSizeExactly(from_capacity_bytes).c_str(), FormatSizeExactly(to_capacity_bytes).c_str(),
      FormatSizeExactly(CapacityMax(fits, from_capacity_bytes)).c_str());
}

uint64_t AlignedShift(uint64_t from_base, uint64_t to_base, uint64_t size_bytes,
                      uint64_t shift_bytes, uint64_t alignment) {
  for (; alignment > kSubtreeBytes; alignment /= 2) {
    uint64_t shift = (from_base - to_base) % alignment;
    if (shift < shift_bytes) shift += alignment;
    if (size_bytes + shift <= alloc::kRegionBytes) return shift;
  }
  return shift_bytes;
}

}  // namespace morsel
