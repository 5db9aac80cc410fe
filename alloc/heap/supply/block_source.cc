#include "alloc/heap/supply/block_source.h"

#include <bit>

#include "alloc/heap/segments/slab.h"
#include "base/error.h"
#include "base/units.h"

namespace morsel::alloc {
namespace {

/// After a search for room has failed, this many blocks are taken from larger classes, if there are
/// any, before the next one: a search stops all threads.
constexpr uint64_t kAllocationsPerSearch = 64;
/// Blocks of up to this size share slabs in a small heap: those of one unit.
constexpr uint64_t kSharedBlockBytesMax = 2 * kKiB;
/// A heap up to this size is small: a slab is a large part of it.
constexpr uint64_t kSmallHeapBytes = 4 * kMiB;
/// In a small heap a class gets slabs when its blocks have taken this part of one elsewhere.
constexpr uint64_t kSharedPart = 8;

}  // namespace

Result<void*> BlockSource::Allocate(ThreadHeap& mine, unsigned size_class, uint64_t alignment) {
  if (void* const block = mine.Take(size_class); block != nullptr) return block;
  if (!mine.Prepare(size_class)) return parts_.threads.NoMemory();
  parts_.threads.Reclaim();
  Result<Segment*> segment = parts_.known.NextOfClass(size_class);
  if (!segment) return segment.status();
  if (*segment == nullptr) {
    if (searches_spared_ > 0) {
      --searches_spared_;
      if (void* const block = TakeLarger(mine, size_class, alignment); block != nullptr)
        return block;
    }
    const unsigned sharing = ClassForFirstBlocks(size_class);
    if (sharing != size_class) return Allocate(mine, sharing, alignment);
    segment = MakeOrTakeSlab(mine, size_class);
    if (!segment && segment.error() == Code::kNoSpace) {
      return TakeWhateverFits(size_class, alignment);
    }
    if (!segment) return segment.status();
  }
  mine.Lease(*segment, /*has_room=*/true);
  return mine.Take(size_class);
}

// In a small heap, the first blocks of classes that lie between two powers of two are blocks of the
// upper one, so that they share a slab. Returns that class, or the class itself if it is to have
// slabs.
unsigned BlockSource::ClassForFirstBlocks(unsigned size_class) {
  const uint64_t bytes = std::bit_ceil(BlockBytes(size_class));
  const uint64_t heap_bytes = parts_.units.unit_count() * kUnitBytes;
  if (heap_bytes > kSmallHeapBytes || bytes > kSharedBlockBytesMax) return size_class;
  uint64_t& shared_bytes = shared_bytes_[size_class];
  if (shared_bytes >= SlabUnits(size_class).value() * kUnitBytes / kSharedPart) return size_class;
  const unsigned sharing = ClassOf(bytes);
  if (sharing != size_class) shared_bytes += bytes;
  return sharing;
}

// Makes a slab. Before the range grows for it, takes one of another thread's of which at most half
// is in use. That costs the other thread a slab once: when it needs another one, it makes it.
// Otherwise threads that are in no want of room could take the same slab from each other for ever.
Result<Segment*> BlockSource::MakeOrTakeSlab(ThreadHeap& mine, unsigned size_class) {
  const UnitCount units = SlabUnits(size_class);
  const bool has_others = parts_.threads.first()->next != nullptr;
  if (!has_others || mine.HasLost(size_class) || parts_.units.FindFreeUnits(units, units.value())) {
    return MakeSlab(size_class);
  }
  const ThreadParts::Gate closed(parts_.threads);
  for (ThreadHeap* one = parts_.threads.first(); one != nullptr; one = one->next) {
    if (one == &mine || one->ended()) continue;
    if (Segment* const segment = one->LoseHalfEmpty(size_class); segment != nullptr) return segment;
  }
  return MakeSlab(size_class);
}

Result<Segment*> BlockSource::MakeSlab(unsigned size_class) {
  const UnitCount units = SlabUnits(size_class);
  const Result<UnitIndex> place = parts_.source.Find(units, units.value(), units.value());
  if (!place) return place.status();
  const Result<Segment*> made = parts_.known.Make(*place);
  if (!made) return made;
  Segment* const segment = *made;
  parts_.units.FlushCleared();
  segment->BecomeSlab(size_class);
  parts_.host.Expect(*segment, HeapFrames::Use::kDense);
  // ORDER  heads that were cleared, zeroed bits  <  head word  <  the first block
  // WHY    recovery trusts the bits of a slab whose head it finds. persist() of a block
  //        flushes the block's bits, and relies on the head.               [HEAP-2, HEAP-7]
  // CRASH  before the head: the units are free. After: a slab of free blocks.
  // TEST   alloc/heap/heap_crash_test: ASlabIsMadeInOrder
  Slab(*segment).Make(facts_.persist);
  parts_.units.SetHead(*place, UnitWord::Slab(size_class), units);
  facts_.persist.Range(parts_.units.WordAt(*place), sizeof(uint64_t));
  segment->kind = UnitKind::kSlab;
  parts_.table.Enter(segment);
  return segment;
}

// Called when the range is full. Takes a block of this or a larger class from any slab: of the
// slabs that threads hold, those with room become everybody's. Each thread leases again what it
// needs of them, so that the next search finds what was freed since, and little else.
Result<void*> BlockSource::TakeWhateverFits(unsigned size_class, uint64_t alignment) {
  const ThreadParts::Gate closed(parts_.threads);
  const Result<ThreadHeap*> mine = parts_.threads.Mine();
  if (!mine) return mine.status();
  MORSEL_TRY(parts_.known.AdoptMore(KnownSegments::kAllHeads));
  parts_.recall.TakeAll();
  if (void* const block = TakeLarger(**mine, size_class, alignment); block != nullptr) {
    searches_spared_ = kAllocationsPerSearch;
    return block;
  }
  // A slab of one unit has just found no room.
  if (SlabUnits(size_class) == UnitCount(1)) return parts_.range.NoRoomFor(UnitCount(1), 1);
  const Result<Extents::Extent> extent = parts_.extents.Allocate(BlockBytes(size_class), alignment);
  if (!extent) return extent.status();
  return extent->start;
}

// Takes a block of this or a larger class from the thread's own slabs, or from one without an
// owner. Returns nullptr if they have none.
void* BlockSource::TakeLarger(ThreadHeap& mine, unsigned size_class, uint64_t alignment) {
  for (unsigned other = size_class; other < kClassCount; ++other) {
    if (!IsAligned(other, alignment)) continue;
    if (void* const block = mine.Take(other); block != nullptr) return block;
    Segment* const segment = parts_.central.Pop(other);
    if (segment == nullptr) continue;
    if (!mine.Prepare(other)) {
      parts_.central.ListIfRoom(segment);
      continue;
    }
    mine.Lease(segment, /*has_room=*/true);
    return mine.Take(other);
  }
  return nullptr;
}

}  // namespace morsel::alloc
