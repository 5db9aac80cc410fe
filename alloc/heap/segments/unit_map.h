// Which units of a heap are used: the words on the medium, and a volatile index of the
// free units (FreeUnits) made from them, region by region, when a region is first needed.
//
// A call that needs a region's bitmap builds it (Build()) and can therefore fail with
// kCorrupt or kNoMemory. Unless the map is read-only, building may also make the
// region's map on the medium.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "alloc/heap/layout/heap_layout.h"
#include "alloc/heap/segments/free_units.h"
#include "alloc/heap/segments/segment.h"
#include "base/bits.h"
#include "base/result.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// Threads  one at a time, unless said otherwise: the caller holds the heap's lock.
class UnitMap {
 public:
  /// `header` is the heap's first page, mapped and validated; it outlives this object. `unclean`:
  /// the last process did not close the heap, so nothing on the medium counts as durable.
  UnitMap(HeapHeader* header, uint64_t size_bytes, pmem::Persist persist, bool read_only,
          bool unclean);
  ~UnitMap();
  UnitMap(const UnitMap&) = delete;
  UnitMap& operator=(const UnitMap&) = delete;

  /// Threads  any, for these three.
  uint64_t unit_count() const { return units_; }
  char* AddressOf(UnitIndex unit) const { return base_ + unit.value() * kUnitBytes; }
  UnitIndex UnitOf(const void* address) const {
    return UnitIndex(static_cast<uint64_t>(static_cast<const char*>(address) - base_) / kUnitBytes);
  }

  /// Makes the bitmap of the unit's region unless it exists. A region without a map on the medium
  /// gets one first, unless the heap is read-only.
  /// Durability  of a map that is made: on return. After an unclean end, the region's words, too.
  /// Errors      kCorrupt: a word of the region or of the directory is invalid; kNoMemory; kNoSpace
  ///             (without a message): there is no room for the map.
  Status Build(UnitIndex unit);

  /// The first unit from `unit` on whose address is a multiple of `alignment`.
  /// Units  alignment: units, a power of two.
  uint64_t AlignedUnit(uint64_t unit, uint64_t alignment) const;

  /// Finds the lowest `count` adjacent free units that begin at a multiple of `alignment`, and
  /// returns the first. They stay free. Nothing on the medium changes but that regions may get
  /// their maps.
  /// Units   alignment: units, a power of two.
  /// Errors  kNoSpace (without a message); as Build().
  /// Cost    by the number of regions and by the logarithm of a region's free runs, if alignment is
  ///         1, or count, or if runs that are long enough but badly aligned are few.
  Result<UnitIndex> FindFreeUnits(UnitCount count, uint64_t alignment) {
    return FindFreeUnitsBefore(units_, count, alignment);
  }

  /// The unit after the last used one.
  /// Errors  as Build().
  Result<UnitIndex> EndOfUsed();

  /// Whether the `count` units from `first` on exist and are all free.
  /// Errors  as Build().
  Result<bool> IsFree(UnitIndex first, UnitCount count);

  /// Flushes and fences the heads that were cleared or shortened since the last call. Call it
  /// before their units get another head: an old head that comes back after a power cut would cover
  /// them.
  /// Durability  on return.
  void PersistCleared();
  /// Flushes the same heads without a fence. The caller fences before the units get another head.
  void FlushCleared();
  /// How many bytes of extents lost their heads, or were cut off, since the last such call.
  uint64_t cleared_bytes() const { return cleared_bytes_; }

  /// Marks the segment's units as used and stores its head. If an extent crosses into other
  /// regions, its pieces are stored first. The units were free, their regions are built, and no
  /// cleared head waits for PersistCleared().
  /// Durability  of the pieces: on return. Of the head: none; the caller flushes it.
  void SetHead(UnitIndex head, UnitWord word, UnitCount units);

  /// Shortens or lengthens an extent to `units`. Units that it gains must be free, with no cleared
  /// head waiting for PersistCleared(). Units that it loses may be used after PersistCleared().
  /// Durability  as SetHead().
  void ResizeExtent(UnitIndex head, UnitCount old_units, UnitCount units);

  /// Clears a head, so that its units are free. They may be used after PersistCleared().
  /// Durability  none before PersistCleared().
  void ClearHead(UnitIndex head, UnitCount units);

  /// The unit's word on the medium. Its region has a map.
  uint64_t* WordAt(UnitIndex unit) const;
  UnitWord Word(UnitIndex unit) const { return {pmem::Load(WordAt(unit))}; }

  /// The head of the live segment that covers the unit. The head's region is built on return.
  /// Errors  kNotFound (without a message): no segment covers it; as Build().
  Result<UnitIndex> HeadOf(UnitIndex unit);

  /// What is remembered of the segment that begins at `head`, or nullptr. The region is built.
  Segment* SegmentAt(UnitIndex head) const;
  /// As SegmentAt(), but makes a Segment if there is none. Returns nullptr, without a message, if
  /// there is no memory.
  Segment* Remember(UnitIndex head);

  /// All that the last process left is durable now: regions that are built from now on need no
  /// flush.
  void RecoveredIsDurable() { unclean_ = false; }

  /// Whether the volatile bitmap says that the unit is used; nothing if its region is not built.
  std::optional<bool> IsRememberedAsUsed(UnitIndex unit) const {
    if (regions_[unit.value() / kUnitsPerRegion] == nullptr) return std::nullopt;
    return Used(unit.value());
  }

  /// Says that no unit was ever used, so that all are zero behind the prefix.
  void NothingWasUsed() { never_used_ = header_->first_unit; }
  /// From there to the range's end nothing was ever used since the range got it, so that it is
  /// zero.
  char* never_used() const { return AddressOf(UnitIndex(never_used_)); }

  /// How many bytes were freed, and neither used again nor taken by TakeIdle().
  uint64_t idle_bytes() const { return idle_units_ * kUnitBytes; }
  /// Calls `each(begin, end)` for all of these bytes, which then no longer count.
  template <class Each>
  void TakeIdle(Each each) {
    for (uint64_t region = 0; region < region_count_; ++region) {
      if (regions_[region] == nullptr) continue;
      uint64_t* const idle = regions_[region]->idle;
      const uint64_t first = region * kUnitsPerRegion;
      for (uint64_t begin = 0;;) {
        begin = NextBit(idle, begin, kUnitsPerRegion, true);
        const uint64_t end = NextBit(idle, begin, kUnitsPerRegion, false);
        if (begin == end) break;
        each(UnitIndex(first + begin), UnitIndex(first + end));
        begin = end;
      }
      std::fill_n(idle, kUnitsPerRegion / 64, 0);
    }
    idle_units_ = 0;
  }

  /// How many nodes of the index of free units were looked at in all searches.
  uint64_t nodes_read() const { return nodes_read_; }

  /// The next head at or after the unit, or unit_count() if there is none.
  /// Errors  as Build().
  Result<UnitIndex> NextHead(UnitIndex unit);

  /// Adds units at the end, up to size_bytes. They are durably the heap's already.
  void Grow(uint64_t size_bytes);

  /// Removes all units from size_bytes on, and the maps that lie there.
  /// Durability  on return, cleared heads included.
  /// Errors      kBusy: one of the units is in use, and nothing has changed; as Build().
  Status Shrink(uint64_t size_bytes);

  /// Calls `visit(Segment&)` for each Segment that was ever remembered, also where its kind is
  /// kNone.
  template <class Visit>
  void ForEachSegment(Visit visit) {
    for (Segment* segment = remembered_; segment != nullptr; segment = segment->next_remembered)
      visit(*segment);
  }

 private:
  struct Region {
    FreeUnits units;
    uint64_t heads[kUnitsPerRegion / 64] = {};
    uint64_t idle[kUnitsPerRegion / 64] = {};  ///< freed by this process and not used since
    Segment** segments = nullptr;  ///< by unit; the kernel provides pages as they are touched
    Region();
    ~Region();
  };

  /// Segments side by side, which follow it. Single pieces from malloc() would begin at multiples
  /// of a power of two, and compete for a few sets of the processor's caches.
  struct alignas(kLineBytes) SegmentBatch {
    SegmentBatch* next;
    size_t places;
    size_t count = 0;

    Segment* segments() { return reinterpret_cast<Segment*>(this + 1); }
    static size_t BytesFor(size_t places) {
      return sizeof(SegmentBatch) + places * sizeof(Segment);
    }
  };
  /// The first batch is small, since many heaps have few segments. Each has twice as many as the
  /// one before, up to a limit.
  static constexpr size_t kFirstBatch = 2;
  static constexpr size_t kBatchMax = 64;
  static_assert(sizeof(Segment) / kLineBytes % 2 == 1);

  Segment* NewSegment();
  Result<UnitIndex> FindFreeUnitsBefore(uint64_t units, UnitCount count, uint64_t alignment);
  Result<UnitIndex> FindSlabUnits(uint64_t units, UnitCount count);
  Result<UnitIndex> NextHole(uint64_t from, uint64_t units, UnitCount count);
  Result<UnitIndex> EndOfHole(UnitIndex begin, uint64_t units);
  uint64_t* Directory() const;
  /// The region's words on the medium, or nullptr if it has no map yet.
  uint64_t* MapOf(uint64_t region) const;
  Status MakeMap(uint64_t region);
  Result<UnitIndex> PlaceOfMap(uint64_t region);
  Status Scan(uint64_t region);
  static bool MarkedAsShortSlab(Region& region, uint64_t unit, UnitWord word);
  Status ScanHead(uint64_t region, uint64_t unit, UnitWord word, uint64_t* end);
  /// The word to which the piece at the beginning of the region points back, or nullptr if no piece
  /// is there. It is the word of an extent's head if that extent still covers the region.
  const uint64_t* HeadOfPiece(uint64_t region) const;
  /// How many of the region's first units an extent of an earlier region covers.
  uint64_t CoveredByEarlier(uint64_t region) const;
  Status MarkMaps(uint64_t region);
  void Mark(UnitIndex first, uint64_t count, bool used);
  void MarkIdle(UnitIndex first, uint64_t count, bool idle);
  void Use(UnitIndex first, uint64_t count);
  void Unuse(UnitIndex first, uint64_t count);
  bool Used(uint64_t unit) const;
  /// Whether one of the units is used. Their regions are built.
  bool AnyUsed(UnitIndex first, uint64_t count) const;
  /// The region has no map, so nothing was ever allocated in it. Another region's map may lie
  /// there.
  bool IsUntouched(uint64_t region) const { return MapOf(region) == nullptr; }

  char* base_;
  HeapHeader* header_;
  pmem::Persist persist_;
  bool read_only_;
  bool unclean_;
  Shared<uint64_t> units_;
  uint64_t region_count_;
  std::vector<std::unique_ptr<Region>> regions_;
  Segment* remembered_ = nullptr;
  SegmentBatch* batches_ = nullptr;
  std::vector<const uint64_t*>
      cleared_;  ///< heads that were cleared or shortened and not flushed yet
  uint64_t cleared_bytes_ = 0;
  uint64_t nodes_read_ = 0;
  uint64_t never_used_;  ///< the units from here on were never used since the range got them
  uint64_t idle_units_ = 0;
};

}  // namespace morsel::alloc
