// The gate, free, realloc and look-up. heap_allocate.cc is where blocks come from,
// heap_durability.cc how they become durable, and heap_open.cc how a heap is opened.
#include "alloc/heap/heap.h"

#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "alloc/heap/guard/guard.h"
#include "alloc/heap/segments/slab.h"
#include "base/check.h"
#include "base/error.h"

namespace morsel::alloc {

Heap::Gate::Gate(Heap* heap) : heap_(heap) {
  if (heap_->closings_++ > 0) return;
  ++heap_->work_.gates_closed;
  heap_->EmptySlots();
  while (ThreadHeap* const one = heap_->in_use_) {
    heap_->in_use_ = one->next_in_use;
    one->is_in_use = false;
    one->PutBack();
    one->slot = nullptr;
  }
}

// The slots stay empty. Each thread fills its own again when it next gets the lock.
Heap::Gate::~Gate() { --heap_->closings_; }

// No other thread is inside the heap afterwards.
void Heap::EmptySlots() {
  for (ThreadHeap* one = in_use_; one != nullptr; one = one->next_in_use) {
    if (one->slot != nullptr) one->slot->Empty();
  }
  // ORDER  a slot is empty, for every thread  <  the heap is no thread's recent one
  // WHY    a thread makes the heap its recent one only while its slot is the heap's.
  // CRASH  nothing of this is on the medium.
  // TEST   alloc/heap/heap_parts_test: NobodyIsInsideWhileTheGateIsClosed
  BarrierInAllThreads();
  for (ThreadHeap* one = in_use_; one != nullptr; one = one->next_in_use) {
    if (one->slot != nullptr) one->state->recent.ForgetIf(key_);
  }
  // ORDER  neither slot nor key leads to the heap, for every thread  <  the look at who is inside
  // WHY    a thread that entered because it did not see this has said before that it is inside, so
  //        that it is seen here.
  // CRASH  nothing of this is on the medium.
  // TEST   alloc/heap/heap_parts_test: ClosingTheGateWaitsForWhoIsInside
  BarrierInAllThreads();
  for (ThreadHeap* one = in_use_; one != nullptr; one = one->next_in_use) {
    // Do not wait for this thread: it may be inside another heap, whose medium has called back.
    if (one->slot == nullptr || one->state == my_state) continue;
    WaitUntilOutside(one->slot->inside);
    WaitUntilOutside(one->state->recent.inside);
  }
}

// A ThreadHeap for the calling thread, which has none: that of a thread that has ended, or a new
// one. Returns nullptr if there is no memory.
ThreadHeap* Heap::CacheForNewThread() {
  ThreadHeap* found = ended_;
  if (found != nullptr) {
    ended_ = found->next_ended;
    found->Begin();
    return found;
  }
  found = new (std::nothrow) ThreadHeap(segments_, &common_, persist_, fine_, unclean_);
  if (found == nullptr) return nullptr;
  found->next = thread_heaps_;
  thread_heaps_ = found;
  return found;
}

Status Heap::NoMemoryForCache() const {
  return Fail(Code::kNoMemory, "no memory for this thread's part of the heap at %p",
              static_cast<void*>(header_));
}

// The calling thread's ThreadHeap. Fills the thread's slot if it may have one.
Result<ThreadHeap*> Heap::MyCache() {
  ThreadState* const state = my_state;
  if (const ThreadSlot& slot = SlotAt(slot_place_); slot.Is(this)) return slot.thread_heap;
  ThreadSlot* const slot = state == &no_state ? nullptr : state->MakeSlot(slot_place_);
  ThreadHeap* mine = nullptr;
  if (slot != nullptr) {
    const bool known = slot->opening == open_.opening;
    mine = known ? slot->thread_heap : CacheForNewThread();
  }
  if (mine == nullptr) return NoMemoryForCache();
  state->Hold(open_.number, *slot, open_.opening, mine);
  mine->state = state;
  if (mine->lent_bytes() == 0) LendFrees(*mine);
  // The heap must not be the thread's recent one while its slot is empty, because EmptySlots()
  // looks only at ThreadHeaps with a slot.
  mine->slot = nullptr;
  state->recent.ForgetIf(key_);
  // A thread whose frees must be flushed first gets no slot, so that it takes the slow path; nor
  // does any thread in a guarded heap.
  if (SlotsCanBeEmptied() && closings_ == 0 && guard_ == nullptr && !mine->FlushIsDue()) {
    mine->slot = slot;
    if (!std::exchange(mine->is_in_use, true)) mine->next_in_use = std::exchange(in_use_, mine);
    slot->Fill(this, mine);
  }
  return mine;
}

// A later thread may have the ThreadHeap afterwards, and all threads what it held. The gate stays
// open, and no other thread's ThreadHeap is looked at, so that threads may come and go beside any
// number of others.
void Heap::ThreadEnds(ThreadHeap& ended) {
  const std::lock_guard lock(mutex_);
  // The thread may fence in a later destructor what it has flushed in an earlier one, when somebody
  // else has the ThreadHeap. The fence of the frees is for that, too.
  ended.pending().Flush(persist_, units_.AddressOf(UnitIndex(units_.unit_count())));
  ended.End([this](Segment* segment) { ListIfRoom(segment); });
  ended.pending().Fenced();
  if (fine_ && ended.lent_bytes() != 0) budget_.GiveBack(ended.lent_bytes());
  if (fine_) ended.Borrow(0);
  touched_.TakeAll(ended.touched());
  ended.state = nullptr;
  ended.slot = nullptr;
  ended.next_ended = std::exchange(ended_, &ended);
}

// A slab that had no room when its thread ended still has that thread's ThreadHeap as its owner. If
// others have freed blocks of it since, it becomes available to all threads here.
void Heap::ReclaimAbandoned() {
  if (!common_.HasRemote()) return;
  common_.DrainRemote();
  common_.Abandon([this](Segment* segment) { ListIfRoom(segment); });
  touched_.TakeAll(common_.touched());
}

// Frees all that threads have freed of others' slabs. No thread's list has a slab afterwards.
void Heap::DrainAllRemote() {
  // A slab may be in the list of an owner that it had before. From there it goes to the one that it
  // has now, whose turn may have been already.
  for (int i = 0; i < 2; ++i) {
    ReclaimAbandoned();
    for (ThreadHeap* one = thread_heaps_; one != nullptr; one = one->next) one->DrainRemote();
  }
}

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
    ListIfRoom(segment);
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

void Heap::ListIfRoom(Segment* segment) {
  if (!Slab(*segment).HasRoom()) return;
  touched_.Add(*segment);  // it may be empty
  segment->flags |= Segment::kAtHand;
  classes_[segment->size_class].listed.Append(segment);
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
  EmptySlots();
  key_ = key;
}

// The thread is inside `slot`.
void Heap::BeRecent(ThreadSlot& slot) {
  RecentHeap& recent = my_state->recent;
  if (!recent.Is(key_)) recent.Become(key_, this, slot, segments_.view());
}

void* Heap::TakeInside(unsigned size_class) {
  ThreadSlot& slot = SlotAt(slot_place_);
  if (!slot.Enter(this)) return nullptr;
  ThreadHeap& mine = *slot.thread_heap;
  void* block = mine.TryTake(size_class);
  if (block == nullptr) block = mine.Take(size_class);
  // A thread that goes from heap to heap has nothing of this one in its caches. So it asks now for
  // what free() will read.
  if (const Segment* const slab = segments_.At(block); slab != nullptr) __builtin_prefetch(slab);
  BeRecent(slot);
  slot.Leave();
  return block;
}

bool Heap::FreeInside(void* block) {
  ThreadSlot& slot = SlotAt(slot_place_);
  if (!slot.Enter(this)) return false;
  BeRecent(slot);
  ThreadHeap& mine = *slot.thread_heap;
  Segment* const slab = segments_.At(block);
  ThreadHeap* const owner = slab == nullptr ? nullptr : slab->owner.load(std::memory_order_acquire);
  if (owner == &mine) {
    const RecentHeap& recent = my_state->recent;
    const bool quick = recent.Is(key_) && slab->quick == &slot;
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

void Heap::FreeUnguarded(void* block) {
  bool due = false;
  {
    const auto lock = LockForMine();
    const Result<ThreadHeap*> mine = MyCache();
    if (!mine) Die("free of %p: %s", block, LastError());
    FreeLocked(**mine, block);
    due = (*mine)->FlushIsDue();
  }
  if (due) FlushMyFrees();
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
      (void)NoMemoryForCache();
      Die("free of %p: %s", block, LastError());
    }
    const bool has_room = segment.Has(Segment::kAtHand);
    if (has_room) classes_[segment.size_class].listed.Remove(&segment);
    segment.flags &= static_cast<uint8_t>(~Segment::kAtHand);
    mine.Lease(&segment, has_room);
  }
  mine.Give(segment, block);
}

uint64_t Heap::UsableBytes(const void* block) {
  if (guard_ != nullptr) return UsableGuarded(block, "usable_size");
  if (Segment* const slab = segments_.At(block); slab != nullptr && slab->IsSlab()) {
    (void)Slab(*slab).LiveIndex(block, "usable_size");
    return slab->block_bytes;
  }
  std::lock_guard lock(mutex_);
  const Segment& segment = LiveSegment(block, "usable_size");
  return segment.UsableBytes();
}

Result<bool> Heap::IsLive(const void* address) { return IsLive(address, /*must_begin=*/false); }
Result<bool> Heap::IsBlock(const void* address) { return IsLive(address, /*must_begin=*/true); }

Result<bool> Heap::IsLive(const void* address, bool must_begin) {
  if (guard_ != nullptr && guard_->HasFreed(address)) return false;
  const auto lock = LockForMine();
  const Result<Segment*> segment = SegmentOf(address);
  if (!segment && segment.error() == Code::kNotFound) return false;
  if (!segment) return segment.status();
  if (!(*segment)->IsSlab()) return !must_begin || address == (*segment)->start;
  if (must_begin && !Slab(**segment).IsStart(address)) return false;
  // Blocks in magazines are not live. They are of the slabs of their thread.
  const ThreadHeap* const owner = (*segment)->owner.load(std::memory_order_relaxed);
  const bool is_mine = owner != nullptr && owner->state == my_state;
  std::optional<Gate> closed;
  if (owner != nullptr && !is_mine && !owner->ended()) closed.emplace(this);
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
  if (*end != behind || !GrowFor(count, 1)) return false;
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
    BoundClearedExtents();
    GiveBackIdle();
  }
  return true;
}

Result<void*> Heap::Reallocate(void* block, uint64_t size_bytes) {
  MORSEL_TRY(CheckSize(size_bytes));  // below, sizes are counted in units, and must not wrap
  if (guard_ != nullptr) return ReallocateGuarded(block, size_bytes);
  uint64_t before = 0;
  if (Segment* const slab = segments_.At(block); slab != nullptr && slab->IsSlab()) {
    (void)Slab(*slab).LiveIndex(block, "realloc");
    if (StaysInBlock(*slab, size_bytes)) return block;
    before = slab->block_bytes;
  } else {
    std::lock_guard lock(mutex_);
    Segment& segment = LiveSegment(block, "realloc");
    const Result<bool> resized = ResizeInPlace(segment, size_bytes);
    if (!resized) return resized.status();
    if (*resized) return block;
    before = segment.UsableBytes();
  }
  const Result<void*> moved = Allocate(size_bytes, kBlockBytesMin);
  if (!moved && size_bytes <= before) return block;  // shrinking needs no space
  if (!moved) return moved;
  std::memcpy(*moved, block, before < size_bytes ? before : size_bytes);
  Free(block);
  return moved;
}

}  // namespace morsel::alloc
