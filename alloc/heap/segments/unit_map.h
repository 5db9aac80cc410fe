// Which units of a heap are used: the words on the medium, and a volatile bitmap
// of them, made region by region when a region is first needed.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "alloc/heap/layout/heap_layout.h"
#include "alloc/heap/segments/segment.h"
#include "base/result.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// Threads  one call at a time: the heap's lock is held.
class UnitMap {
 public:
  /// `header` is mapped, validated, and the heap's first page. After an unclean end (`unclean`)
  /// nothing on the medium counts as flushed.
  UnitMap(HeapHeader* header, uint64_t size_bytes, pmem::Persist persist, bool read_only,
          bool unclean);
  ~UnitMap();
  UnitMap(const UnitMap&) = delete;
  UnitMap& operator=(const UnitMap&) = delete;

  /// Threads  any.
  uint64_t unit_count() const { return units_; }
  char* AddressOf(UnitIndex unit) const { return base_ + unit.value() * kUnitBytes; }
  UnitIndex UnitOf(const void* address) const {
    return UnitIndex(static_cast<uint64_t>(static_cast<const char*>(address) - base_) / kUnitBytes);
  }

  /// Makes the bitmap of the unit's region, if it is not made yet.
  /// Errors  kCorrupt: a word of the region cannot be; kNoMemory.
  Status Build(UnitIndex unit);

  /// `unit`, or the next one whose address is a multiple of `alignment` units (a power of two).
  uint64_t AlignedUnit(uint64_t unit, uint64_t alignment) const;

  /// The first of `count` free units, aligned to `alignment` units (a power of two).
  /// On the medium only maps of regions are made.
  /// Errors  kNoSpace (no sentence); as Build().
  Result<UnitIndex> FindFreeUnits(UnitCount count, uint64_t alignment) {
    return FindFreeUnitsBefore(units_, count, alignment);
  }

  /// The unit behind the last that is used.
  /// Errors  as Build().
  Result<UnitIndex> EndOfUsed();

  /// Whether the `count` units from `first` on exist and are free.
  Result<bool> IsFree(UnitIndex first, UnitCount count);

  /// Flushes and fences the heads that were taken away since the last call. To be called before
  /// units are handed out in another shape.
  void PersistCleared();
  /// Likewise, without the fence: the caller fences before the units get another head.
  void FlushCleared();

  /// Marks the segment and stores its head; of an extent that crosses regions, its pieces before.
  /// Durability  a slab's head: none. Pieces: on return. An extent's head: none.
  /// The segment's units were free and settled.
  void SetHead(UnitIndex head, UnitWord word, UnitCount units);

  /// Shortens or lengthens an extent; `units` is its new length. What it takes was free and
  /// settled; what it gives up may be used after PersistCleared().
  void ResizeExtent(UnitIndex head, UnitCount old_units, UnitCount units);

  /// Takes a head away; the units are free after PersistCleared().
  void ClearHead(UnitIndex head, UnitCount units);

  uint64_t* WordAt(UnitIndex unit) const;
  UnitWord Word(UnitIndex unit) const { return {pmem::Load(WordAt(unit))}; }

  /// The head of the live segment that covers the unit, or kNotFound (no sentence). Builds its
  /// region.
  Result<UnitIndex> HeadOf(UnitIndex unit);

  /// The remembered segment of a head, or nullptr. Its region is built.
  Segment* SegmentAt(UnitIndex head) const;
  /// Likewise; it is made if there is none. nullptr: no memory (no sentence).
  Segment* Remember(UnitIndex head);

  /// All that is on the medium is durable: what is built from now on counts as flushed.
  void RecoveredIsDurable() { unclean_ = false; }

  /// Whether the volatile bitmap has the unit as used; nothing where there is no bitmap yet.
  std::optional<bool> IsRememberedAsUsed(UnitIndex unit) const {
    if (regions_[unit.value() / kUnitsPerRegion] == nullptr) return std::nullopt;
    return Used(unit.value());
  }

  /// The next head at or after the unit, or unit_count().
  Result<UnitIndex> NextHead(UnitIndex unit);

  /// Takes over the units behind the size before, durably the heap's.
  void Grow(uint64_t size_bytes);

  /// Errors  kBusy: a unit from size_bytes on is in use. Nothing changed.
  Status Shrink(uint64_t size_bytes);

  /// Calls `visit(Segment&)` for each remembered segment.
  template <class Visit>
  void ForEachSegment(Visit visit) {
    for (Segment* segment = remembered_; segment != nullptr; segment = segment->next_remembered)
      visit(*segment);
  }

 private:
  struct Region {
    uint64_t used[kUnitsPerRegion / 64] = {};
    uint64_t heads[kUnitsPerRegion / 64] = {};
    uint64_t used_count = 0;
    Segment** segments = nullptr;  ///< by unit; pages come as they are touched
    Region();
    ~Region();
  };

  /// Side by side, so that they do not begin at multiples of a power of two, as pieces of malloc()
  /// do, and share few sets of the caches.
  struct SegmentBatch {
    static constexpr size_t kSegments = 64;
    SegmentBatch* next = nullptr;
    size_t count = 0;
    Segment segments[kSegments];
  };
  static_assert(sizeof(Segment) / kLineBytes % 2 == 1);

  Segment* NewSegment();
  Result<UnitIndex> FindFreeUnitsBefore(uint64_t units, UnitCount count, uint64_t alignment);
  uint64_t* Directory() const;
  /// The region's words, or nullptr where it has no map yet.
  uint64_t* MapOf(uint64_t region) const;
  Status MakeMap(uint64_t region);
  Result<UnitIndex> PlaceOfMap(uint64_t region);
  Status Scan(uint64_t region);
  static bool MarkedAsShortSlab(Region& region, uint64_t unit, UnitWord word);
  Status ScanHead(uint64_t region, uint64_t unit, UnitWord word, uint64_t* end);
  /// How many of the region's first units an extent of an earlier region covers.
  uint64_t CoveredByEarlier(uint64_t region) const;
  Status MarkMaps(uint64_t region);
  void Mark(UnitIndex first, uint64_t count, bool used);
  bool Used(uint64_t unit) const;
  /// Their regions are built.
  bool AnyUsed(UnitIndex first, uint64_t count) const;
  /// Nothing was ever allocated in it, and no map is placed there.
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
  SegmentBatch* chunks_ = nullptr;
  std::vector<const uint64_t*> cleared_;  ///< stored as free, not durable yet
};

}  // namespace morsel::alloc
