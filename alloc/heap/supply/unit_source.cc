#include "alloc/heap/supply/unit_source.h"

#include "base/error.h"

namespace morsel::alloc {
namespace {

/// Before the range grows, this many more heads are adopted, to find empty slabs.
constexpr uint64_t kSlabsPerGrowth = 64;

}  // namespace

// Known empty slabs are released first, then the range grows, and only then is everything adopted
// that an earlier process left. Once that is so, the range grows by more than is needed.
Result<UnitIndex> UnitSource::Find(UnitCount count, uint64_t least, uint64_t liked) {
  range_.BeginSearch();
  Result<UnitIndex> place = units_.FindFreeUnits(count, liked);
  const auto is_decided = [&] { return place || place.error() != Code::kNoSpace; };
  if (is_decided()) return place;
  MORSEL_TRY(recall_.ReleaseEmpty(kSlabsPerGrowth));
  place = units_.FindFreeUnits(count, liked);
  if (!is_decided() && range_.GrowFor(count, liked, known_.AllAreAdopted()))
    place = units_.FindFreeUnits(count, liked);
  bool is_different = liked != least;  // from what the range could not grow for
  if (!is_decided() && !known_.AllAreAdopted()) {
    MORSEL_TRY(recall_.ReleaseEmpty(KnownSegments::kAllHeads));
    place = units_.FindFreeUnits(count, liked);
    is_different = true;
  }
  if (!is_decided() && is_different) place = units_.FindFreeUnits(count, least);
  if (!is_decided() && is_different && range_.GrowFor(count, least, known_.AllAreAdopted())) {
    place = units_.FindFreeUnits(count, least);
  }
  return place;
}

Result<bool> UnitSource::AreFreeBehind(const Segment& extent, UnitCount count) {
  const UnitIndex behind(extent.head.value() + extent.units);
  const Result<bool> free = units_.IsFree(behind, count);
  if (!free || *free) return free;
  const Result<UnitIndex> end = units_.EndOfUsed();
  if (!end) return end.status();
  if (*end != behind || !range_.GrowFor(count, 1, known_.AllAreAdopted())) return false;
  return units_.IsFree(behind, count);
}

}  // namespace morsel::alloc
