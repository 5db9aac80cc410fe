#include "alloc/heap/segments/unit_map.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "base/check.h"
#include "base/error.h"
#include "os/memory/dense_memory.h"

namespace morsel::alloc {
namespace {

uint64_t RegionOf(uint64_t unit) { return unit / kUnitsPerRegion; }
uint64_t InRegion(uint64_t unit) { return unit % kUnitsPerRegion; }

}  // namespace

UnitMap::Region::Region()
    : segments(static_cast<Segment**>(calloc(kUnitsPerRegion, sizeof(Segment*)))) {}

UnitMap::Region::~Region() { free(segments); }

UnitMap::UnitMap(HeapHeader* header, uint64_t size_bytes, pmem::Persist persist, bool read_only,
                 bool unclean)
    : base_(reinterpret_cast<char*>(header)),
      header_(header),
      persist_(persist),
      read_only_(read_only),
      unclean_(unclean),
      units_(size_bytes / kUnitBytes),
      region_count_(DivideUp(header->capacity_bytes, kRegionBytes)),
      regions_(region_count_),
      never_used_(units_) {}

UnitMap::~UnitMap() {
  while (SegmentBatch* const batch = batches_) {
    batches_ = batch->next;
    os::TheDenseSource().Give(batch, SegmentBatch::BytesFor(batch->places));
  }
}

uint64_t* UnitMap::Directory() const {
  return reinterpret_cast<uint64_t*>(base_ + header_->directory_offset);
}

uint64_t* UnitMap::MapOf(uint64_t region) const {
  if (region == 0) return reinterpret_cast<uint64_t*>(base_ + header_->map_offset);
  const uint64_t unit = pmem::Load(&Directory()[region]);
  return unit == 0 ? nullptr : reinterpret_cast<uint64_t*>(base_ + unit * kUnitBytes);
}

uint64_t* UnitMap::WordAt(UnitIndex unit) const {
  return MapOf(RegionOf(unit.value())) + InRegion(unit.value());
}

Segment* UnitMap::SegmentAt(UnitIndex head) const {
  return regions_[RegionOf(head.value())]->segments[InRegion(head.value())];
}

Segment* UnitMap::NewSegment() {
  if (batches_ == nullptr || batches_->count == batches_->places) {
    const size_t places =
        batches_ == nullptr ? kFirstBatch : std::min(2 * batches_->places, kBatchMax);
    void* const memory = os::TheDenseSource().Take(SegmentBatch::BytesFor(places));
    if (memory == nullptr) return nullptr;
    batches_ = new (memory) SegmentBatch{batches_, places};
  }
  return new (batches_->segments() + batches_->count++) Segment;
}

Segment* UnitMap::Remember(UnitIndex head) {
  Segment*& segment = regions_[RegionOf(head.value())]->segments[InRegion(head.value())];
  if (segment != nullptr) return segment;
  segment = NewSegment();
  if (segment == nullptr) return nullptr;
  segment->head = head;
  segment->start = AddressOf(head);
  segment->next_remembered = remembered_;
  remembered_ = segment;
  return segment;
}

void UnitMap::Mark(UnitIndex first, uint64_t count, bool used) {
  const uint64_t end = first.value() + count;
  for (uint64_t unit = first.value(); unit < end;) {
    Region* const region = regions_[RegionOf(unit)].get();
    const uint64_t begin = InRegion(unit);
    const uint64_t here = std::min(kUnitsPerRegion - begin, end - unit);
    if (region != nullptr) region->units.Mark(begin, begin + here, used);  // if not, Scan() does it
    unit += here;
  }
}

// Marks units as used that were free.
void UnitMap::Use(UnitIndex first, uint64_t count) {
  Mark(first, count, true);
  MarkIdle(first, count, false);
  never_used_ = std::max(never_used_, first.value() + count);
}

// Marks units as free that were used.
void UnitMap::Unuse(UnitIndex first, uint64_t count) {
  Mark(first, count, false);
  MarkIdle(first, count, true);
}

void UnitMap::MarkIdle(UnitIndex first, uint64_t count, bool idle) {
  ForEachWord(first.value(), first.value() + count, [&](uint64_t word, uint64_t mask) {
    const uint64_t unit = word * 64;  // a region begins with a word
    Region* const region = regions_[RegionOf(unit)].get();
    if (region == nullptr) return;
    uint64_t& bits = region->idle[InRegion(unit) / 64];
    const uint64_t changed = (idle ? ~bits : bits) & mask;
    bits ^= changed;
    idle_units_ += idle ? CountBits(changed) : -CountBits(changed);
  });
}

bool UnitMap::AnyUsed(UnitIndex first, uint64_t count) const {
  const uint64_t end = first.value() + count;
  for (uint64_t unit = first.value(); unit < end;) {
    const uint64_t begin = InRegion(unit);
    const uint64_t here = std::min(kUnitsPerRegion - begin, end - unit);
    const FreeUnits& units = regions_[RegionOf(unit)]->units;
    if (units.FirstUsed(begin, begin + here) != begin + here) return true;
    unit += here;
  }
  return false;
}

bool UnitMap::Used(uint64_t unit) const {
  return regions_[RegionOf(unit)]->units.IsUsed(InRegion(unit));
}

uint64_t UnitMap::AlignedUnit(uint64_t unit, uint64_t alignment) const {
  // The address is to be aligned, and the base may be aligned to less than that.
  const uint64_t base = reinterpret_cast<uint64_t>(base_) / kUnitBytes;
  return AlignUp(base + unit, alignment) - base;
}

// Looks at one run of free units after the other that is long enough, until the units fit into one
// though they must be aligned. Slabs are as long as they are aligned, and have an index of their
// own.
Result<UnitIndex> UnitMap::FindFreeUnitsBefore(uint64_t units, UnitCount count,
                                               uint64_t alignment) {
  if (count.value() == alignment && alignment <= uint64_t{1} << FreeUnits::kOrderMax &&
      AlignedUnit(0, alignment) == 0) {
    return FindSlabUnits(units, count);
  }
  uint64_t from = header_->first_unit;
  for (;;) {
    const Result<UnitIndex> run = NextHole(from, units, count);
    if (!run) return run;
    const UnitIndex aligned(AlignedUnit(run->value(), alignment));
    if (!Within(aligned.value(), count.value(), units)) return Code::kNoSpace;
    if (aligned == *run) return run;
    const Result<bool> free = IsFree(aligned, count);
    if (!free) return free.status();
    if (*free) return aligned;
    const Result<UnitIndex> end = EndOfHole(*run, units);
    if (!end) return end;
    from = end->value();
  }
}

Result<UnitIndex> UnitMap::FindSlabUnits(uint64_t units, UnitCount count) {
  const unsigned order = static_cast<unsigned>(std::countr_zero(count.value()));
  for (uint64_t region = 0; region * kUnitsPerRegion < units; ++region) {
    const UnitIndex first(region * kUnitsPerRegion);
    MORSEL_TRY(Build(first));
    const std::optional<uint64_t> begin = regions_[region]->units.FindAligned(order, nodes_read_);
    if (begin && Within(first.value() + *begin, count.value(), units)) {
      return UnitIndex(first.value() + *begin);
    }
  }
  return Code::kNoSpace;
}

// Finds the lowest run of at least `count` free units in [from, units), which may cross regions.
Result<UnitIndex> UnitMap::NextHole(uint64_t from, uint64_t units, UnitCount count) {
  uint64_t before = 0;  // that many units at the end of the region before are free
  for (uint64_t region = RegionOf(from); region * kUnitsPerRegion < units; ++region) {
    const uint64_t first = region * kUnitsPerRegion;
    const bool places_map = IsUntouched(region);
    MORSEL_TRY(Build(UnitIndex(first)));
    // The new map may lie in units that were free before.
    if (places_map && before != 0) return NextHole(from, units, count);
    const uint64_t begin = from > first ? from - first : 0;
    const FreeUnits::Hole run =
        regions_[region]->units.Find(begin, count.value(), before, nodes_read_);
    if (run.found) {
      const UnitIndex found(first + run.begin - run.before);
      if (!Within(found.value(), count.value(), units)) return Code::kNoSpace;
      return found;
    }
    before = run.before;
  }
  return Code::kNoSpace;
}

// The first used unit from `begin` on, or `units` if all before are free.
Result<UnitIndex> UnitMap::EndOfHole(UnitIndex begin, uint64_t units) {
  for (uint64_t unit = begin.value(); unit < units;) {
    MORSEL_TRY(Build(UnitIndex(unit)));
    const uint64_t first = RegionOf(unit) * kUnitsPerRegion;
    const uint64_t used =
        regions_[RegionOf(unit)]->units.FirstUsed(InRegion(unit), kUnitsPerRegion);
    if (used < kUnitsPerRegion) return UnitIndex(std::min(first + used, units));
    unit = first + kUnitsPerRegion;
  }
  return UnitIndex(units);
}

Result<bool> UnitMap::IsFree(UnitIndex first, UnitCount count) {
  if (!Within(first.value(), count.value(), units_)) return false;
  const uint64_t end = first.value() + count.value();
  // Build all regions before looking: one that gets its map may place it in another.
  for (uint64_t region = RegionOf(first.value()); region * kUnitsPerRegion < end; ++region) {
    MORSEL_TRY(Build(UnitIndex(region * kUnitsPerRegion)));
  }
  return !AnyUsed(first, count.value());
}

Result<UnitIndex> UnitMap::EndOfUsed() {
  for (uint64_t region = DivideUp(units_, kUnitsPerRegion); region-- > 0;) {
    const uint64_t first = region * kUnitsPerRegion;
    if (IsUntouched(region)) continue;
    MORSEL_TRY(Build(UnitIndex(first)));
    if (const uint64_t end = regions_[region]->units.EndOfUsed(); end != 0) {
      return UnitIndex(first + end);
    }
  }
  return UnitIndex(0);
}

void UnitMap::PersistCleared() {
  if (cleared_.empty()) return;
  FlushCleared();
  persist_.Fence();
}

void UnitMap::FlushCleared() {
  for (const uint64_t* word : cleared_) persist_.Flush(word, sizeof *word);
  cleared_.clear();
  cleared_bytes_ = 0;
}

void UnitMap::SetHead(UnitIndex head, UnitWord word, UnitCount units) {
  MORSEL_CHECK(cleared_.empty());
  const uint64_t end = head.value() + units.value();
  bool crosses = false;
  // ORDER  pieces  <  head word
  // WHY    recovery of a region looks for an extent from an earlier one only where the
  //        region's first word is a piece, so the piece must be there before the
  //        extent can be live.                                                [HEAP-4]
  // CRASH  before the head: the pieces point back to no live head and count as free.
  // TEST   alloc/heap/heap_crash_test: PiecesAreDurableBeforeTheirHead
  for (uint64_t next = RegionOf(head.value()) + 1; next * kUnitsPerRegion < end; ++next) {
    const UnitIndex first(next * kUnitsPerRegion);
    pmem::Store(WordAt(first), UnitWord::Piece(UnitCount(first.value() - head.value())).raw);
    persist_.Flush(WordAt(first), sizeof(uint64_t));
    crosses = true;
  }
  if (crosses) persist_.Fence();
  pmem::Store(WordAt(head), word.raw);
  Use(head, units.value());
  regions_[RegionOf(head.value())]->heads[InRegion(head.value()) / 64] |= uint64_t{1}
                                                                          << (head.value() % 64);
}

void UnitMap::ResizeExtent(UnitIndex head, UnitCount old_units, UnitCount units) {
  if (units > old_units) {
    SetHead(head, UnitWord::Extent(units), units);
    return;
  }
  pmem::Store(WordAt(head), UnitWord::Extent(units).raw);
  cleared_.push_back(WordAt(head));
  cleared_bytes_ += (old_units.value() - units.value()) * kUnitBytes;
  Unuse(UnitIndex(head.value() + units.value()), old_units.value() - units.value());
}

void UnitMap::ClearHead(UnitIndex head, UnitCount units) {
  // A slab that comes back is one of free blocks.
  if (Word(head).kind() == UnitKind::kExtent) cleared_bytes_ += units.value() * kUnitBytes;
  pmem::Store(WordAt(head), 0);
  cleared_.push_back(WordAt(head));
  Unuse(head, units.value());
  regions_[RegionOf(head.value())]->heads[InRegion(head.value()) / 64] &=
      ~(uint64_t{1} << (head.value() % 64));
}

Result<UnitIndex> UnitMap::HeadOf(UnitIndex unit) {
  if (unit.value() >= units_) return Code::kNotFound;
  const uint64_t region = RegionOf(unit.value());
  if (IsUntouched(region)) return Code::kNotFound;
  MORSEL_TRY(Build(unit));
  const Region& here = *regions_[region];
  const uint64_t bit = InRegion(unit.value());
  for (uint64_t word = bit / 64 + 1; word-- > 0;) {
    uint64_t heads = here.heads[word];
    if (word == bit / 64) heads &= ~uint64_t{0} >> (63 - bit % 64);
    if (heads == 0) continue;
    const UnitIndex head(region * kUnitsPerRegion + word * 64 + 63 -
                         static_cast<uint64_t>(std::countl_zero(heads)));
    const UnitWord found = Word(head);
    const uint64_t length =
        found.kind() == UnitKind::kSlab ? SlabUnits(found.size_class()).value() : found.units();
    if (unit.value() < head.value() + length) return head;
    return Code::kNotFound;
  }
  if (bit >= CoveredByEarlier(region)) return Code::kNotFound;
  const UnitIndex first(region * kUnitsPerRegion);
  const UnitIndex head(first.value() - Word(first).units());
  MORSEL_TRY(Build(head));
  return head;
}

Result<UnitIndex> UnitMap::NextHead(UnitIndex unit) {
  for (uint64_t at = unit.value(); at < units_;) {
    const uint64_t first = RegionOf(at) * kUnitsPerRegion;
    const uint64_t limit = units_ - first < kUnitsPerRegion ? units_ - first : kUnitsPerRegion;
    if (!IsUntouched(RegionOf(at))) {
      MORSEL_TRY(Build(UnitIndex(at)));
      const uint64_t found = NextBit(regions_[RegionOf(at)]->heads, InRegion(at), limit, true);
      if (found < limit) return UnitIndex(first + found);
    }
    at = first + limit;
  }
  return UnitIndex(units_);
}

}  // namespace morsel::alloc
