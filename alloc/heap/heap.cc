// Free, realloc and look-up. heap_allocate.cc is where blocks come from,
// heap_durability.cc how they become durable, and heap_open.cc how a heap is opened.
#include "alloc/heap/heap.h"

#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "alloc/heap/segments/slab.h"
#include "base/check.h"
#include "base/error.h"

namespace morsel::alloc {

Segment* Heap::Remember(UnitIndex head) {
  Segment* const segment = units_.Remember(head);
  if (segment == nullptr) {
    (void)Fail(Code::kNoMemory, "no memory to keep account of a slab of the morsel at %p",
               static_cast<void*>(header_));
  }
  return segment;
}

Result<Segment*> Heap::Adopt(UnitIndex head) {
  if (Segment* const known = units_.SegmentAt(head);
      known != nullptr && known->kind != UnitKind::kNone) {
    return known;
  }
  Segment* const segment = Remember(head);
  if (segment == nullptr) return Code::kNoMemory;
  const UnitWord word = units_.Word(head);
  if (word.kind() == UnitKind::kSlab) {
    segment->BecomeSlab(word.size_class());
    MORSEL_TRY(Slab(*segment).Adopt(persist_, unclean_, read_only_));
    segment->kind = UnitKind::kSlab;
    central_.ListIfRoom(segment);
    segments_.Enter(segment);
  } else {
    segment->units = word.units();
    segment->kind = word.kind();
  }
  return segment;
}

Result<Segment*> Heap::SegmentOf(const void* address) {
  const Result<UnitIndex> head = units_.HeadOf(units_.UnitOf(address));
  if (!head) return head.status();
  return Adopt(*head);
}

Segment& Heap::LiveSegment(const void* block, const char* call) {
  const Result<Segment*> segment = SegmentOf(block);
  if (!segment) {
    Die("%s of %p, which is no block of the morsel at %p%s%s", call, block,
        static_cast<void*>(header_), segment.error() == Code::kNotFound ? "" : ": ",
        segment.error() == Code::kNotFound ? "" : LastError());
  }
  if ((*segment)->IsSlab()) {
    (void)Slab(**segment).LiveIndex(block, call);
  } else if (block != (*segment)->start) {
    Die("%s of %p, which is not the start of a live block of the morsel at %p (freed twice?)", call,
        block, static_cast<void*>(header_));
  }
  return **segment;
}

// From now on the extent is looked up with the lock held.
void Heap::ForgetExtent(Segment* segment) {
  if (!segment->Has(Segment::kEntered)) return;
  segments_.Forget(*segment);
  segment->flags &= static_cast<uint8_t>(~Segment::kEntered);
}

void Heap::ReleaseExtent(Segment* segment) {
  ForgetExtent(segment);
  if (live_bytes_) *live_bytes_ -= static_cast<int64_t>(segment->units * kUnitBytes);
  units_.ClearHead(segment->head, UnitCount(segment->units));
  segment->kind = UnitKind::kNone;
  BoundClearedExtents();
  GiveBackIdle();
}

void Heap::ReleaseSlab(Segment* segment) {
  segments_.Forget(*segment);
  segment->owner.store(nullptr, std::memory_order_relaxed);
  segment->quick = nullptr;
  segment->flags = 0;
  units_.ClearHead(segment->head, UnitCount(segment->units));
  segment->kind = UnitKind::kNone;
}

void Heap::set_key(const void* key) {
  const std::lock_guard lock(mutex_);
  parts_.set_key(key);
}

void* Heap::TakeInside(unsigned size_class) {
  ThreadSlot& slot = parts_.MySlot();
  if (!slot.Enter(this)) return nullptr;
  ThreadHeap& mine = *slot.thread_heap;
  void* block = mine.TryTake(size_class);
  if (block == nullptr) block = mine.Take(size_class);
  // A thread that goes from heap to heap has nothing of this one in its caches. So it asks now for
  // what free() will read.
  if (const Segment* const slab = segments_.At(block); slab != nullptr) __builtin_prefetch(slab);
  parts_.BeRecent(slot);
  slot.Leave();
  return block;
}

bool Heap::FreeInside(void* block) {
  ThreadSlot& slot = parts_.MySlot();
  if (!slot.Enter(this)) return false;
  parts_.BeRecent(slot);
  ThreadHeap& mine = *slot.thread_heap;
  Segment* const slab = segments_.At(block);
  ThreadHeap* const owner = slab == nullptr ? nullptr : slab->owner.load(std::memory_order_acquire);
  if (owner == &mine) {
    const RecentHeap& recent = my_state->recent;
    const bool quick = parts_.IsRecent() && slab->quick == &slot;
    if (!quick || !ThreadHeap::TryGive(*slab, block, recent)) mine.Give(*slab, block);
  } else if (owner != nullptr && !owner->ended()) {
    mine.FreeRemote(*slab, block);
  } else {
    slot.Leave();
    return false;
  }
  const bool due = mine.FlushIsDue();
  slot.Leave();
  if (due) FlushMyFrees();
  return true;
}

void Heap::PlainBlocks::Free(void* block) {
  bool due = false;
  {
    const auto lock = heap_.LockForMine();
    const Result<ThreadHeap*> mine = heap_.parts_.Mine();
    if (!mine) Die("free of %p: %s", block, LastError());
    heap_.FreeLocked(**mine, block);
    due = (*mine)->FlushIsDue();
  }
  if (due) heap_.FlushMyFrees();
}

void Heap::FreeLocked(ThreadHeap& mine, void* block) {
  Segment& segment = LiveSegment(block, "free");
  if (!segment.IsSlab()) {
    ReleaseExtent(&segment);
    mine.FreedExtent();
    return;
  }
  ThreadHeap* const owner = segment.owner.load(std::memory_order_relaxed);
  if (owner != &mine && owner != nullptr && !owner->ended()) {
    mine.FreeRemote(segment, block);
    mine.FlushRemote();  // not later: the gate may be closed already
    return;
  }
  if (owner != &mine) {
    if (!mine.Prepare(segment.size_class)) {
      (void)parts_.NoMemory();
      Die("free of %p: %s", block, LastError());
    }
    const bool has_room = segment.Has(Segment::kAtHand);
    if (has_room) central_.Remove(segment);
    mine.Lease(&segment, has_room);
  }
  mine.Give(segment, block);
}

uint64_t Heap::PlainBlocks::UsableBytes(const void* block, const char* call) {
  if (Segment* const slab = heap_.segments_.At(block); slab != nullptr && slab->IsSlab()) {
    (void)Slab(*slab).LiveIndex(block, call);
    return slab->block_bytes;
  }
  const std::lock_guard lock(heap_.mutex_);
  return heap_.LiveSegment(block, call).UsableBytes();
}

uint64_t Heap::PlainBlocks::KeptBytesMax() const {
  return heap_.fine_ ? FreeBudget::OfGuard(heap_.size_bytes()) : ~uint64_t{0};
}

Result<bool> Heap::PlainBlocks::IsLive(const void* address, bool must_begin) {
  const auto lock = heap_.LockForMine();
  const Result<Segment*> segment = heap_.SegmentOf(address);
  if (!segment && segment.error() == Code::kNotFound) return false;
  if (!segment) return segment.status();
  if (!(*segment)->IsSlab()) return !must_begin || address == (*segment)->start;
  if (must_begin && !Slab(**segment).IsStart(address)) return false;
  // Blocks in magazines are not live. They are of the slabs of their thread.
  const ThreadHeap* const owner = (*segment)->owner.load(std::memory_order_relaxed);
  const bool is_mine = owner != nullptr && owner->state == my_state;
  std::optional<ThreadParts::Gate> closed;
  if (owner != nullptr && !is_mine && !owner->ended()) closed.emplace(heap_.parts_);
  const bool is_allocated = Slab(**segment).IsInLiveBlock(address);
  return is_allocated && !(is_mine && owner->HasAtHand(**segment, address));
}

// Whether the `count` units behind the extent are free. If the extent is the last segment, the
// range grows for them.
Result<bool> Heap::FreeBehind(const Segment& extent, UnitCount count) {
  const UnitIndex behind(extent.head.value() + extent.units);
  const Result<bool> free = units_.IsFree(behind, count);
  if (!free || *free) return free;
  const Result<UnitIndex> end = units_.EndOfUsed();
  if (!end) return end.status();
  if (*end != behind || !growth_.GrowFor(count, 1, all_recovered_)) return false;
  return units_.IsFree(behind, count);
}

// Whether the block of a slab serves for the new size as well: moving is worth it only if at least
// half of the block would be unused.
bool Heap::StaysInBlock(const Segment& slab, uint64_t size_bytes) {
  return size_bytes <= slab.block_bytes && size_bytes > slab.block_bytes / 2;
}

Result<bool> Heap::ResizeInPlace(Segment& segment, uint64_t size_bytes) {
  if (segment.IsSlab()) return StaysInBlock(segment, size_bytes);
  const uint64_t wanted = DivideUp(size_bytes, kUnitBytes);
  if (size_bytes <= kBlockBytesMax / 2) return false;
  if (wanted > segment.units) {
    const Result<bool> free = FreeBehind(segment, UnitCount(wanted - segment.units));
    if (!free || !*free) return free;
    units_.PersistCleared();
  }
  if (wanted != segment.units) {
    ForgetExtent(&segment);
    units_.ResizeExtent(segment.head, UnitCount(segment.units), UnitCount(wanted));
    if (live_bytes_) *live_bytes_ += static_cast<int64_t>((wanted - segment.units) * kUnitBytes);
    segment.units = wanted;
    segment.word.Stored();
    Expect(segment, HeapFrames::Use::kAny);
    BoundClearedExtents();
    GiveBackIdle();
  }
  return true;
}

Result<void*> Heap::PlainBlocks::Reallocate(void* block, uint64_t size_bytes) {
  MORSEL_TRY(heap_.CheckSize(size_bytes));  // below, sizes are counted in units, and must not wrap
  uint64_t before = 0;
  if (Segment* const slab = heap_.segments_.At(block); slab != nullptr && slab->IsSlab()) {
    (void)Slab(*slab).LiveIndex(block, "realloc");
    if (StaysInBlock(*slab, size_bytes)) return block;
    before = slab->block_bytes;
  } else {
    std::unique_lock lock(heap_.mutex_);
    Segment& segment = heap_.LiveSegment(block, "realloc");
    const Result<bool> resized = heap_.ResizeInPlace(segment, size_bytes);
    before = segment.UsableBytes();
    lock.unlock();
    if (!resized) return resized.status();
    if (*resized) {
      heap_.Watch();
      return block;
    }
  }
  const Result<void*> moved = Allocate(size_bytes, kBlockBytesMin);
  if (!moved && size_bytes <= before) return block;  // shrinking needs no space
  if (!moved) return moved;
  std::memcpy(*moved, block, before < size_bytes ? before : size_bytes);
  if (!heap_.FreeInside(block)) Free(block);
  return moved;
}

}  // namespace morsel::alloc
