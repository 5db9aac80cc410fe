#include "alloc/heap/segments/unit_map.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "base/check.h"
#include "base/error.h"

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
      regions_(region_count_) {}

UnitMap::~UnitMap() {
  while (SegmentBatch* const batch = batches_) {
    batches_ = batch->next;
    delete batch;
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
  if (batches_ == nullptr || batches_->count == SegmentBatch::kSegments) {
    SegmentBatch* const batch = new (std::nothrow) SegmentBatch;
    if (batch == nullptr) return nullptr;
    batch->next = batches_;
    batches_ = batch;
  }
  return &batches_->segments[batches_->count++];
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
    const uint64_t bit = InRegion(unit);
    if (region == nullptr) {  // Scan() will mark it
      unit += kUnitsPerRegion - bit;
      continue;
    }
    const uint64_t here = std::min(64 - bit % 64, end - unit);
    const uint64_t mask = ~uint64_t{0} >> (64 - here) << (bit % 64);
    uint64_t& word = region->used[bit / 64];
    const uint64_t changed = (used ? ~word : word) & mask;
    word ^= changed;
    region->used_count += used ? CountBits(changed) : -CountBits(changed);
    unit += here;
  }
}

bool UnitMap::AnyUsed(UnitIndex first, uint64_t count) const {
  const uint64_t end = first.value() + count;
  for (uint64_t unit = first.value(); unit < end;) {
    const uint64_t bit = InRegion(unit);
    const uint64_t here = std::min(kUnitsPerRegion - bit, end - unit);
    if (NextBit(regions_[RegionOf(unit)]->used, bit, bit + here, true) != bit + here) return true;
    unit += here;
  }
  return false;
}

bool UnitMap::Used(uint64_t unit) const {
  const Region& region = *regions_[RegionOf(unit)];
  return (region.used[InRegion(unit) / 64] >> (unit % 64)) & 1;
}

uint64_t UnitMap::AlignedUnit(uint64_t unit, uint64_t alignment) const {
  // The address is to be aligned, and the base may be aligned to less than that.
  const uint64_t base = reinterpret_cast<uint64_t>(base_) / kUnitBytes;
  return AlignUp(base + unit, alignment) - base;
}

Result<UnitIndex> UnitMap::FindFreeUnitsBefore(uint64_t units, UnitCount count,
                                               uint64_t alignment) {
  uint64_t begin = AlignedUnit(header_->first_unit, alignment);
  uint64_t end = begin;  // [begin, end) is known to be free
  while (begin + count.value() <= units) {
    const bool places_map = IsUntouched(RegionOf(end));
    MORSEL_TRY(Build(UnitIndex(end)));
    if (places_map) end = begin;  // the new map may lie in units that were free before
    const Region& region = *regions_[RegionOf(end)];
    const uint64_t first = RegionOf(end) * kUnitsPerRegion;
    if (region.used_count == kUnitsPerRegion) {
      begin = end = AlignedUnit(first + kUnitsPerRegion, alignment);
      continue;
    }
    const uint64_t wanted = begin + count.value() - first;
    const uint64_t limit = wanted < kUnitsPerRegion ? wanted : kUnitsPerRegion;
    const uint64_t taken = NextBit(region.used, end - first, limit, true);
    if (taken == limit) {
      end = first + limit;
      if (end == begin + count.value()) return UnitIndex(begin);
    } else {
      const uint64_t next = NextBit(region.used, taken, kUnitsPerRegion, false);
      begin = end = AlignedUnit(first + next, alignment);
    }
  }
  return Code::kNoSpace;
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
    for (uint64_t word = kUnitsPerRegion / 64; word-- > 0;) {
      const uint64_t used = regions_[region]->used[word];
      if (used != 0)
        return UnitIndex(first + word * 64 + static_cast<uint64_t>(std::bit_width(used)));
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
  Mark(head, units.value(), true);
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
  Mark(UnitIndex(head.value() + units.value()), old_units.value() - units.value(), false);
}

void UnitMap::ClearHead(UnitIndex head, UnitCount units) {
  // A slab that comes back is one of free blocks.
  if (Word(head).kind() == UnitKind::kExtent) cleared_bytes_ += units.value() * kUnitBytes;
  pmem::Store(WordAt(head), 0);
  cleared_.push_back(WordAt(head));
  Mark(head, units.value(), false);
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
