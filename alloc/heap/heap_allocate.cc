// Where blocks come from: a known slab with room; a slab that an earlier process left; a
// new slab; and, where the range is full, any free block or units that are large enough,
// so that "no space" means that there is none.
#include <algorithm>
#include <cinttypes>
#include <new>

#include "alloc/heap/heap.h"
#include "alloc/heap/segments/slab.h"
#include "base/bits.h"
#include "base/error.h"

namespace morsel::alloc {
namespace {

/// Before it makes a new slab, an allocation looks at this many heads of an earlier process, and
/// adopts this many of its slabs. There are limits because the first allocation after an open must
/// be quick.
constexpr uint64_t kHeadsPerLook = 1024;
constexpr uint64_t kSlabsPerLook = 8;
/// After a search for room has failed, this many blocks are taken from larger classes, if there are
/// any, before the next one: a search stops all threads.
constexpr uint64_t kAllocationsPerSearch = 64;
/// Before the range grows, this many more heads are adopted, to find empty slabs.
constexpr uint64_t kSlabsPerGrowth = 64;
/// Blocks of up to this size share slabs in a small heap: those of one unit.
constexpr uint64_t kSharedBlockBytesMax = 2 * kKiB;
/// A heap up to this size is small: a slab is a large part of it.
constexpr uint64_t kSmallHeapBytes = 4 * kMiB;
/// In a small heap a class gets slabs when its blocks have taken this part of one elsewhere.
constexpr uint64_t kSharedPart = 8;

bool Aligned(unsigned size_class, uint64_t alignment) {
  return (BlockBytes(size_class) & (alignment - 1)) == 0;
}

}  // namespace

Status Heap::CheckSize(uint64_t size_bytes) const {
  if (size_bytes <= header_->capacity_bytes) return Code::kOk;
  return Fail(Code::kNoSpace,
              "%" PRIu64 " bytes are more than the whole morsel at %p may ever hold, %" PRIu64
              ": give it a larger capacity with 'morselctl rebase POOL NAME --capacity SIZE'",
              size_bytes, static_cast<void*>(header_), header_->capacity_bytes);
}

Result<void*> Heap::PlainBlocks::Allocate(uint64_t size_bytes, uint64_t alignment) {
  if (alignment > kRegionBytes || !std::has_single_bit(alignment)) {
    return Fail(Code::kInvalidArgument,
                "an alignment of %" PRIu64 " bytes: it must be a power of two up to 1 GiB",
                alignment);
  }
  alignment = std::max(alignment, kBlockBytesMin);
  MORSEL_TRY(heap_.CheckSize(size_bytes));
  if (size_bytes <= kBlockBytesMax && alignment <= kBlockBytesMax) {
    unsigned size_class = ClassOf(size_bytes);
    // The loop ends, because blocks of the largest class are aligned to their size.
    while (!Aligned(size_class, alignment)) ++size_class;
    if (void* const block = heap_.TakeInside(size_class); block != nullptr) return block;
    const auto lock = heap_.LockForMine();
    const Result<ThreadHeap*> mine = heap_.parts_.Mine();
    if (!mine) return mine.status();
    if ((*mine)->FlushIsDue()) {
      heap_.FlushFreesOf(**mine);
      (void)heap_.parts_.Mine();  // the thread may have its slot again
    }
    return heap_.AllocateBlock(**mine, size_class, alignment);
  }
  const Result<Extent> extent = heap_.AllocateWatched(size_bytes, alignment);
  if (!extent) return extent.status();
  return extent->start;
}

Result<Heap::Extent> Heap::AllocateWatched(uint64_t size_bytes, uint64_t alignment) {
  std::unique_lock lock(mutex_);
  const Result<Extent> extent = AllocateExtent(size_bytes, alignment);
  lock.unlock();
  if (extent) Watch();
  return extent;
}

Result<void*> Heap::AllocateBlock(ThreadHeap& mine, unsigned size_class, uint64_t alignment) {
  if (void* const block = mine.Take(size_class); block != nullptr) return block;
  if (!mine.Prepare(size_class)) return parts_.NoMemory();
  parts_.Reclaim();
  Result<Segment*> segment = NextRecovered(size_class, kHeadsPerLook);
  if (!segment) return segment.status();
  if (*segment == nullptr) {
    if (searches_spared_ > 0) {
      --searches_spared_;
      if (void* const block = TakeLarger(mine, size_class, alignment); block != nullptr)
        return block;
    }
    const unsigned sharing = ClassForFirstBlocks(size_class);
    if (sharing != size_class) return AllocateBlock(mine, sharing, alignment);
    segment = MakeOrTakeSlab(mine, size_class);
    if (!segment && segment.error() == Code::kNoSpace)
      return AllocateWhateverFits(size_class, alignment);
    if (!segment) return segment.status();
  }
  mine.Lease(*segment, /*has_room=*/true);
  return mine.Take(size_class);
}

// Takes a slab of the class with room and without an owner from its list. If the list is empty,
// adopts slabs that an earlier process left. Returns nullptr if `heads_max` heads have none.
Result<Segment*> Heap::NextRecovered(unsigned size_class, uint64_t heads_max) {
  SizeClass& of = classes_[size_class];
  uint64_t adopted = 0;
  for (uint64_t heads = 0; central_.HasNone(size_class) && heads < heads_max; ++heads) {
    if (all_recovered_) break;
    ++work_.heads_read;
    const Result<UnitIndex> head = units_.NextHead(of.cursor);
    if (!head) return head.status();
    if (head->value() >= units_.unit_count()) break;
    const UnitWord word = units_.Word(*head);
    if (word.kind() == UnitKind::kSlab && word.size_class() == size_class) {
      if (heads_max != kAllHeads && adopted++ == kSlabsPerLook) break;
      const Result<Segment*> segment = Adopt(*head);
      if (!segment) return segment;
    }
    of.cursor = UnitIndex(head->value() + 1);
  }
  return central_.Pop(size_class);
}

// In a small heap, the first blocks of classes that lie between two powers of two are blocks of the
// upper one, so that they share a slab. Returns that class, or the class itself if it is to have
// slabs.
unsigned Heap::ClassForFirstBlocks(unsigned size_class) {
  const uint64_t bytes = std::bit_ceil(BlockBytes(size_class));
  if (size_bytes() > kSmallHeapBytes || bytes > kSharedBlockBytesMax) return size_class;
  uint64_t& shared_bytes = classes_[size_class].shared_bytes;
  if (shared_bytes >= SlabUnits(size_class).value() * kUnitBytes / kSharedPart) return size_class;
  const unsigned sharing = ClassOf(bytes);
  if (sharing != size_class) shared_bytes += bytes;
  return sharing;
}

// Makes a slab. Before the range grows for it, takes one of another thread's of which at most half
// is in use. That costs the other thread a slab once: when it needs another one, it makes it.
// Otherwise threads that are in no want of room could take the same slab from each other for ever.
Result<Segment*> Heap::MakeOrTakeSlab(ThreadHeap& mine, unsigned size_class) {
  const UnitCount units = SlabUnits(size_class);
  const bool has_others = parts_.first()->next != nullptr;
  if (!has_others || mine.HasLost(size_class) || units_.FindFreeUnits(units, units.value())) {
    return MakeSlab(size_class);
  }
  const ThreadParts::Gate closed(parts_);
  for (ThreadHeap* one = parts_.first(); one != nullptr; one = one->next) {
    if (one == &mine || one->ended()) continue;
    if (Segment* const segment = one->LoseHalfEmpty(size_class); segment != nullptr) return segment;
  }
  return MakeSlab(size_class);
}

Result<Segment*> Heap::MakeSlab(unsigned size_class) {
  const UnitCount units = SlabUnits(size_class);
  const Result<UnitIndex> place = FindUnits(units, units.value(), units.value());
  if (!place) return place.status();
  Segment* const segment = Remember(*place);
  if (segment == nullptr) return Code::kNoMemory;
  units_.FlushCleared();
  segment->BecomeSlab(size_class);
  Expect(*segment, HeapFrames::Use::kDense);
  // ORDER  heads that were cleared, zeroed bits  <  head word  <  the first block
  // WHY    recovery trusts the bits of a slab whose head it finds. persist() of a block
  //        flushes the block's bits, and relies on the head.               [HEAP-2, HEAP-7]
  // CRASH  before the head: the units are free. After: a slab of free blocks.
  // TEST   alloc/heap/heap_crash_test: ASlabIsMadeInOrder
  Slab(*segment).Make(persist_);
  units_.SetHead(*place, UnitWord::Slab(size_class), units);
  persist_.Range(units_.WordAt(*place), sizeof(uint64_t));
  segment->kind = UnitKind::kSlab;
  segments_.Enter(segment);
  return segment;
}

// Called when the range is full. Takes a block of this or a larger class from any slab: of the
// slabs that threads hold, those with room become everybody's. Each thread leases again what it
// needs of them, so that the next search finds what was freed since, and little else.
Result<void*> Heap::AllocateWhateverFits(unsigned size_class, uint64_t alignment) {
  const ThreadParts::Gate closed(parts_);
  const Result<ThreadHeap*> mine = parts_.Mine();
  if (!mine) return mine.status();
  MORSEL_TRY(AdoptRecovered(kAllHeads));
  AbandonAll();
  if (void* const block = TakeLarger(**mine, size_class, alignment); block != nullptr) {
    searches_spared_ = kAllocationsPerSearch;
    return block;
  }
  // A slab of one unit has just found no room.
  if (SlabUnits(size_class) == UnitCount(1)) return growth_.NoRoomFor(UnitCount(1));
  const Result<Extent> extent = AllocateExtent(BlockBytes(size_class), alignment);
  if (!extent) return extent.status();
  return extent->start;
}

// Takes a block of this or a larger class from the thread's own slabs, or from one without an
// owner. Returns nullptr if they have none.
void* Heap::TakeLarger(ThreadHeap& mine, unsigned size_class, uint64_t alignment) {
  for (unsigned other = size_class; other < kClassCount; ++other) {
    if (!Aligned(other, alignment)) continue;
    if (void* const block = mine.Take(other); block != nullptr) return block;
    Segment* const segment = central_.Pop(other);
    if (segment == nullptr) continue;
    if (!mine.Prepare(other)) {
      central_.ListIfRoom(segment);
      continue;
    }
    mine.Lease(segment, /*has_room=*/true);
    return mine.Take(other);
  }
  return nullptr;
}

Result<Heap::Extent> Heap::AllocateExtent(uint64_t size_bytes, uint64_t alignment) {
  const UnitCount units(std::max<uint64_t>(DivideUp(size_bytes, kUnitBytes), 1));
  const uint64_t least = std::max<uint64_t>(DivideUp(alignment, kUnitBytes), 1);
  // Where there is room, extents of 2 MiB and more begin at a subtree, and those of 1 GiB and more
  // at a giant subtree.
  uint64_t liked = least;
  if (size_bytes >= kSubtreeBytes) liked = std::max(liked, kSubtreeBytes / kUnitBytes);
  if (size_bytes >= kGiantBytes) liked = std::max(liked, kGiantBytes / kUnitBytes);
  Result<UnitIndex> place = FindUnits(units, least, liked);
  if (!place && place.error() == Code::kNoSpace) return growth_.NoRoomFor(units);
  if (!place) return place.status();
  Segment* const segment = Remember(*place);
  if (segment == nullptr) return Code::kNoMemory;
  units_.PersistCleared();
  char* const never_used = units_.never_used();
  units_.SetHead(*place, UnitWord::Extent(units), units);
  segment->kind = UnitKind::kExtent;
  segment->units = units.value();
  if (live_bytes_) *live_bytes_ += static_cast<int64_t>(segment->units * kUnitBytes);
  segment->word.Stored();
  Expect(*segment, HeapFrames::Use::kAny);
  return Extent{segment->start, std::max<char*>(segment->start, never_used)};
}

// Finds units aligned to `liked` or, if there are none, to `least`. Known empty slabs are released
// first, then the range grows, and only then is everything adopted that an earlier process left.
// Once that is so, the range grows by more than is needed.
Result<UnitIndex> Heap::FindUnits(UnitCount count, uint64_t least, uint64_t liked) {
  growth_.BeginSearch();
  Result<UnitIndex> place = units_.FindFreeUnits(count, liked);
  const auto is_decided = [&] { return place || place.error() != Code::kNoSpace; };
  if (is_decided()) return place;
  MORSEL_TRY(ReleaseEmptySlabs(kSlabsPerGrowth));
  place = units_.FindFreeUnits(count, liked);
  if (!is_decided() && growth_.GrowFor(count, liked, all_recovered_))
    place = units_.FindFreeUnits(count, liked);
  bool is_different = liked != least;  // from what the range could not grow for
  if (!is_decided() && !all_recovered_) {
    MORSEL_TRY(ReleaseEmptySlabs(kAllHeads));
    place = units_.FindFreeUnits(count, liked);
    is_different = true;
  }
  if (!is_decided() && is_different) place = units_.FindFreeUnits(count, least);
  if (!is_decided() && is_different && growth_.GrowFor(count, least, all_recovered_)) {
    place = units_.FindFreeUnits(count, least);
  }
  return place;
}

// Adopts what an earlier process left, at most `heads_max` more heads.
Status Heap::AdoptRecovered(uint64_t heads_max) {
  for (uint64_t heads = 0; !all_recovered_ && heads < heads_max; ++heads) {
    const Result<UnitIndex> head = units_.NextHead(recovered_);
    if (!head) return head.status();
    if (head->value() >= units_.unit_count()) {
      all_recovered_ = true;
      break;
    }
    const Result<Segment*> segment = Adopt(*head);
    if (!segment) return segment.status();
    recovered_ = UnitIndex(head->value() + 1);
  }
  return Code::kOk;
}

// Releases all slabs in which no block is allocated. Before that, adopts at most `heads_max` more
// heads that an earlier process left. Looks only at slabs of which something was freed since the
// last time.
Status Heap::ReleaseEmptySlabs(uint64_t heads_max) {
  const ThreadParts::Gate closed(parts_);
  MORSEL_TRY(AdoptRecovered(heads_max));
  parts_.DrainAll();
  // No thread may have a slab to flush that has been released.
  for (ThreadHeap* one = parts_.first(); one != nullptr; one = one->next) one->FlushFrees();
  for (ThreadHeap* one = parts_.first(); one != nullptr; one = one->next) {
    central_.touched().TakeAll(one->touched());
  }
  while (Segment* const segment = central_.touched().Pop()) ReleaseIfEmpty(segment);
  return Code::kOk;
}

void Heap::ReleaseIfEmpty(Segment* segment) {
  ++work_.slabs_searched;
  if (!segment->IsSlab() || !Slab(*segment).IsEmpty()) return;
  ThreadHeap* const owner = segment->owner.load(std::memory_order_relaxed);
  if (!parts_.IsCommon(owner)) {
    owner->AbandonSlab(segment);
  } else {
    central_.Remove(*segment);
  }
  ReleaseSlab(segment);
}

// Takes from all threads the slabs with room, for any of them to lease.
void Heap::AbandonAll() {
  parts_.DrainAll();
  for (ThreadHeap* one = parts_.first(); one != nullptr; one = one->next) {
    one->Abandon([this](Segment* segment) {
      ++work_.slabs_searched;
      central_.ListIfRoom(segment);
    });
  }
}

}  // namespace morsel::alloc
