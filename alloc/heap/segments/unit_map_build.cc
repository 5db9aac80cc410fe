// How a region's bitmap is made from the medium, and how regions get and lose their maps.
//
// What Scan() does with a word:
//
//   word                         where            done
//   0                            anywhere         free
//   piece, its head covers it    region's start   used up to the head's end
//   piece, its head does not     region's start   free: stale
//   piece                        elsewhere        kCorrupt
//   slab or extent, room for it  anywhere         used, a head
//   slab or extent, no room      anywhere         kCorrupt: overlaps a segment or the end
//   anything else                anywhere         kCorrupt
//
// The words that a live segment covers are not read.
#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <new>

#include "alloc/heap/segments/unit_map.h"
#include "base/check.h"
#include "base/error.h"

namespace morsel::alloc {
namespace {

uint64_t RegionOf(uint64_t unit) { return unit / kUnitsPerRegion; }

}  // namespace

Status UnitMap::Build(UnitIndex unit) {
  const uint64_t region = RegionOf(unit.value());
  MORSEL_CHECK(region < region_count_);
  if (MapOf(region) == nullptr && !read_only_) MORSEL_TRY(MakeMap(region));
  if (regions_[region] != nullptr) return Code::kOk;
  regions_[region].reset(new (std::nothrow) Region);
  if (regions_[region] == nullptr || regions_[region]->segments == nullptr) {
    regions_[region].reset();
    return Fail(Code::kNoMemory, "no memory to keep account of 1 GiB of the morsel at %p",
                static_cast<void*>(base_));
  }
  const Status status = Scan(region);
  if (!status.ok()) regions_[region].reset();
  return status;
}

Status UnitMap::Scan(uint64_t region) {
  const uint64_t first = region * kUnitsPerRegion;
  if (region == 0) Mark(UnitIndex(0), header_->first_unit, true);
  MORSEL_TRY(MarkMaps(region));
  const uint64_t* const words = MapOf(region);
  if (words == nullptr) return Code::kOk;  // read-only, and nothing was ever allocated here
  const uint64_t limit = units_ - first < kUnitsPerRegion ? units_ - first : kUnitsPerRegion;
  if (unclean_ && !read_only_) {
    // ORDER  words read as free, and the head that the first piece points to  <  their units
    //        handed out
    // WHY    after a kill, a cleared or shortened head may be visible without being durable; a
    //        power cut would bring it back, over what has been allocated there since. Such a head
    //        of an earlier region covers this one only if the first word is a piece that points
    //        to it: the piece is durable before the head, and its word gets nothing else before
    //        what the head has given up is durable. So whatever region a search begins with,
    //        nothing of it is handed out too early.                            [HEAP-2, HEAP-4]
    // CRASH  before: the region is as it was read, or as it was before the clearing.
    // TEST   alloc/heap/heap_crash_test: KillThenPowerCut
    //        alloc/heap/heap_order_test: AKilledHeadIsGoneForASearchThatSkipsItsRegion
    if (const uint64_t* const head = HeadOfPiece(region); head != nullptr) {
      persist_.Flush(head, sizeof *head);
    }
    persist_.Range(words, limit * sizeof *words);
  }
  uint64_t unit = CoveredByEarlier(region);
  Mark(UnitIndex(first), unit, true);
  while (unit < limit) {
    const UnitWord word{pmem::Load(&words[unit])};
    if (word.raw == 0 || (word.kind() == UnitKind::kPiece && unit == 0)) {
      ++unit;
      continue;
    }
    if (!MarkedAsShortSlab(*regions_[region], unit, word)) {
      MORSEL_TRY(ScanHead(region, unit, word, &unit));
    } else {
      ++unit;
    }
  }
  regions_[region]->units.Index();
  return Code::kOk;
}

// A fast path for slabs of one unit, which are most heads of a heap of small objects: the first
// allocation after an open waits until all of a region's heads are marked.
bool UnitMap::MarkedAsShortSlab(Region& region, uint64_t unit, UnitWord word) {
  if (word.kind() != UnitKind::kSlab || word.size_class() >= kClassCount ||
      SlabUnits(word.size_class()) != UnitCount(1) || region.units.IsUsed(unit)) {
    return false;
  }
  region.units.MarkUsedLater(unit);
  region.heads[unit / 64] |= uint64_t{1} << (unit % 64);
  return true;
}

Status UnitMap::ScanHead(uint64_t region, uint64_t unit, UnitWord word, uint64_t* end) {
  const uint64_t global = region * kUnitsPerRegion + unit;
  const bool slab = word.kind() == UnitKind::kSlab && word.size_class() < kClassCount;
  const bool extent = word.kind() == UnitKind::kExtent && word.units() > 0;
  const uint64_t length = slab ? SlabUnits(word.size_class()).value() : word.units();
  bool fits = (slab && IsAligned(unit, length)) || extent;
  fits = fits && Within(global, length, units_);
  const uint64_t here = length < kUnitsPerRegion - unit ? length : kUnitsPerRegion - unit;
  fits = fits && !AnyUsed(UnitIndex(global), here);
  if (!fits) {
    return Fail(Code::kCorrupt,
                "the heap at %p: the word of unit %" PRIu64 " (offset 0x%" PRIx64 ") is 0x%" PRIx64
                ", which is no slab or extent that fits there; restore the morsel from a copy",
                static_cast<void*>(base_), global, global * kUnitBytes, word.raw);
  }
  Mark(UnitIndex(global), length, true);
  regions_[region]->heads[unit / 64] |= uint64_t{1} << (unit % 64);
  *end = unit + here;
  return Code::kOk;
}

const uint64_t* UnitMap::HeadOfPiece(uint64_t region) const {
  const uint64_t* const words = MapOf(region);
  if (region == 0 || words == nullptr) return nullptr;
  const UnitWord piece{pmem::Load(&words[0])};
  const uint64_t first = region * kUnitsPerRegion;
  if (piece.kind() != UnitKind::kPiece || piece.units() == 0 || piece.units() > first) {
    return nullptr;
  }
  const uint64_t head = first - piece.units();
  const uint64_t* const map = MapOf(RegionOf(head));
  return map == nullptr ? nullptr : &map[head % kUnitsPerRegion];
}

uint64_t UnitMap::CoveredByEarlier(uint64_t region) const {
  const uint64_t* const head = HeadOfPiece(region);
  if (head == nullptr) return 0;
  const UnitWord word{pmem::Load(head)};
  const uint64_t back = UnitWord{pmem::Load(MapOf(region))}.units();
  if (word.kind() != UnitKind::kExtent || word.units() <= back) return 0;
  return std::min(word.units() - back, kUnitsPerRegion);
}

Status UnitMap::MarkMaps(uint64_t region) {
  for (uint64_t other = 1; other < region_count_; ++other) {
    const uint64_t unit = pmem::Load(&Directory()[other]);
    if (unit == 0) continue;
    if (unit < header_->first_unit || !Within(unit, kMapUnits.value(), unit_count())) {
      return Fail(Code::kCorrupt,
                  "the heap at %p: the directory places the map of region %" PRIu64
                  " at unit %" PRIu64 ", outside the morsel's %" PRIu64
                  " units; restore the morsel from a copy",
                  static_cast<void*>(base_), other, unit, unit_count());
    }
    for (uint64_t i = unit; i < unit + kMapUnits.value(); ++i) {
      if (RegionOf(i) != region) continue;
      if (Used(i)) {
        return Fail(Code::kCorrupt,
                    "the heap at %p: the directory places the maps of region %" PRIu64
                    " and of another at unit %" PRIu64 "; restore the morsel from a copy",
                    static_cast<void*>(base_), other, i);
      }
      Mark(UnitIndex(i), 1, true);
    }
  }
  return Code::kOk;
}

Result<UnitIndex> UnitMap::PlaceOfMap(uint64_t region) {
  const uint64_t first = region * kUnitsPerRegion;
  // A region's map lies in an earlier region if there is room, so that a giant extent finds this
  // one whole.
  const Result<UnitIndex> place = FindFreeUnitsBefore(std::min(first, unit_count()), kMapUnits, 1);
  if (place || place.error() != Code::kNoSpace) return place;
  if (first + kMapUnits.value() <= units_) return UnitIndex(first);
  return Code::kNoSpace;
}

Status UnitMap::MakeMap(uint64_t region) {
  Result<UnitIndex> place = PlaceOfMap(region);
  if (!place) return place.status();
  PersistCleared();
  void* const map = AddressOf(*place);
  // ORDER  the map's zeroes  <  the directory's word
  // WHY    recovery trusts every word of a map that the directory names.         [HEAP-6]
  // CRASH  before the word: the units are free. After: they hold a map of free units.
  // TEST   alloc/heap/heap_crash_test: AMapIsZeroBeforeItIsFound
  std::memset(map, 0, kMapUnits.value() * kUnitBytes);
  persist_.Range(map, kMapUnits.value() * kUnitBytes);
  persist_.Publish(&Directory()[region], place->value());
  Use(*place, kMapUnits.value());
  return Code::kOk;
}

void UnitMap::Grow(uint64_t size_bytes) {
  units_ = size_bytes / kUnitBytes;
  // Make the maps of the new regions, and from 64 MiB on of the region after them, while earlier
  // regions have room: a region that begins with its own map has no 1 GiB in one piece. A map that
  // cannot be made now is made when it is needed.
  const uint64_t regions = DivideUp(units_, kUnitsPerRegion) + (size_bytes >= 64 * kMiB ? 1 : 0);
  for (uint64_t region = 1; region < regions && region < region_count_; ++region) {
    if (MapOf(region) == nullptr) (void)MakeMap(region);
  }
}

Status UnitMap::Shrink(uint64_t size_bytes) {
  const uint64_t units = size_bytes / kUnitBytes;
  std::vector<uint64_t> maps;
  for (uint64_t region = 1; region < region_count_; ++region) {
    const uint64_t place = pmem::Load(&Directory()[region]);
    if (place + kMapUnits.value() > units && place != 0) maps.push_back(region);
  }
  for (uint64_t unit = units; unit < units_; ++unit) {
    if (IsUntouched(RegionOf(unit))) continue;
    MORSEL_TRY(Build(UnitIndex(unit)));
    bool free = !Used(unit);
    for (uint64_t region : maps) {
      const uint64_t place = pmem::Load(&Directory()[region]);
      // A map may go if the region that it describes goes, too.
      const bool goes = region * kUnitsPerRegion >= units;
      free = free || (goes && unit >= place && unit < place + kMapUnits.value());
    }
    if (!free) return Code::kBusy;
  }
  PersistCleared();
  for (uint64_t region : maps) {
    const UnitIndex place(pmem::Load(&Directory()[region]));
    // ORDER  heads cleared, the directory's word cleared  <  the pool takes the subtrees back
    // WHY    what the pool takes back may belong to another morsel at once.      [HEAP-6]
    // CRASH  before: the region has no map, and gets one when it is needed.
    // TEST   alloc/heap/heap_crash_test: ShrinkForgetsMapsFirst
    persist_.Publish(&Directory()[region], 0);
    Mark(place, kMapUnits.value(), false);
  }
  units_ = units;
  return Code::kOk;
}

}  // namespace morsel::alloc
