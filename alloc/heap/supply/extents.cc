#include "alloc/heap/supply/extents.h"

#include <algorithm>

#include "base/bits.h"
#include "base/units.h"

namespace morsel::alloc {
namespace {

/// What lies between one extent of a kind and the next, both at a multiple of the alignment, is at
/// most this part of the first: others of the kind cannot use it.
constexpr uint64_t kGapPart = 8;

// The alignment, in units, that an extent gets where there is room: a subtree's or a giant
// subtree's, so that all of it can be huge.
uint64_t LikedFor(UnitCount units) {
  for (const uint64_t bytes : {kGiantBytes, kSubtreeBytes}) {
    const uint64_t alignment = bytes / kUnitBytes;
    const uint64_t gap = AlignUp(units.value(), alignment) - units.value();
    if (units.value() >= alignment && gap <= units.value() / kGapPart) return alignment;
  }
  return 1;
}

}  // namespace

Result<Extents::Extent> Extents::Allocate(uint64_t size_bytes, uint64_t alignment) {
  const UnitCount units(std::max<uint64_t>(DivideUp(size_bytes, kUnitBytes), 1));
  const uint64_t least = std::max<uint64_t>(DivideUp(alignment, kUnitBytes), 1);
  const uint64_t liked = std::max(least, LikedFor(units));
  Result<UnitIndex> place = source_.Find(units, least, liked);
  if (!place && place.error() == Code::kNoSpace) return range_.NoRoomFor(units, least);
  if (!place) return place.status();
  const Result<Segment*> made = known_.Make(*place);
  if (!made) return made.status();
  Segment& extent = **made;
  units_.PersistCleared();
  char* const never_used = units_.never_used();
  units_.SetHead(*place, UnitWord::Extent(units), units);
  extent.kind = UnitKind::kExtent;
  extent.units = units.value();
  live_change_ += static_cast<int64_t>(extent.units * kUnitBytes);
  extent.word.Stored();
  host_.Expect(extent, HeapFrames::Use::kAny);
  return Extent{extent.start, std::max<char*>(extent.start, never_used)};
}

// From now on the extent is looked up with the lock held.
void Extents::ForgetInTable(Segment& extent) {
  if (!extent.Has(Segment::kEntered)) return;
  table_.Forget(extent);
  extent.flags &= static_cast<uint8_t>(~Segment::kEntered);
}

void Extents::Release(Segment& extent) {
  ForgetInTable(extent);
  live_change_ -= static_cast<int64_t>(extent.units * kUnitBytes);
  units_.ClearHead(extent.head, UnitCount(extent.units));
  extent.kind = UnitKind::kNone;
  BoundCleared();
  host_.GiveBackIdle();
}

Result<bool> Extents::Resize(Segment& extent, uint64_t size_bytes) {
  const uint64_t wanted = DivideUp(size_bytes, kUnitBytes);
  if (size_bytes <= kBlockBytesMax / 2) return false;
  if (wanted > extent.units) {
    const Result<bool> free = source_.AreFreeBehind(extent, UnitCount(wanted - extent.units));
    if (!free || !*free) return free;
    units_.PersistCleared();
  }
  if (wanted != extent.units) {
    ForgetInTable(extent);
    units_.ResizeExtent(extent.head, UnitCount(extent.units), UnitCount(wanted));
    live_change_ += static_cast<int64_t>((wanted - extent.units) * kUnitBytes);
    extent.units = wanted;
    extent.word.Stored();
    host_.Expect(extent, HeapFrames::Use::kAny);
    BoundCleared();
    host_.GiveBackIdle();
  }
  return true;
}

// Not too many bytes of what was freed or cut off may come back.
void Extents::BoundCleared() {
  const uint64_t heap_bytes = units_.unit_count() * kUnitBytes;
  if (facts_.fine && budget_.IsTooMuchOfExtents(units_.cleared_bytes(), heap_bytes)) {
    units_.PersistCleared();
  }
}

}  // namespace morsel::alloc
