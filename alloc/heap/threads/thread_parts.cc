#include "alloc/heap/threads/thread_parts.h"

#include <mutex>
#include <new>
#include <utility>

#include "base/error.h"

namespace morsel::alloc {

ThreadParts::ThreadParts(const Heap* heap, Mutex& lock, const SegmentTable& segments,
                         const UnitMap& units, CentralSlabs& central, const NewParts& parts)
    : open_(Register(this)),
      place_(SlotPlace::Of(open_.number)),
      key_(heap),
      heap_(heap),
      segments_(segments),
      lock_(lock),
      units_(units),
      central_(central),
      new_parts_(parts),
      budget_(parts.budget),
      common_(segments, &common_, parts.persist, parts.fine, parts.unclean) {}

ThreadParts::~ThreadParts() {
  {
    const std::lock_guard lock(lock_);
    EmptySlots();  // the next heap may get this one's address
  }
  Unregister(open_);
  while (ThreadHeap* const one = first_) {
    first_ = one->next;
    delete one;
  }
}

void ThreadParts::set_key(const void* key) {
  EmptySlots();
  key_ = key;
}

ThreadParts::Gate::Gate(ThreadParts& parts) : parts_(parts) {
  if (parts_.closings_++ > 0) return;
  ++parts_.gates_closed_;
  parts_.EmptySlots();
  while (ThreadHeap* const one = parts_.in_use_) {
    parts_.in_use_ = one->next_in_use;
    one->is_in_use = false;
    one->PutBack();
    one->slot = nullptr;
  }
}

// No other thread is inside the heap afterwards.
void ThreadParts::EmptySlots() {
  // Not of this thread, for which nobody waits: it may be inside another heap, whose medium has
  // called back.
  const auto for_each_other = [this](const auto& visit) {
    for (ThreadHeap* one = in_use_; one != nullptr; one = one->next_in_use) {
      if (one->slot != nullptr && one->state != my_state) visit(*one);
    }
  };
  for (ThreadHeap* one = in_use_; one != nullptr; one = one->next_in_use) {
    if (one->slot == nullptr) continue;
    one->slot->Empty();
    one->state->recent.ForgetIf(key_);
  }
  bool has_others = false;
  for_each_other([&](ThreadHeap&) { has_others = true; });
  if (!has_others) return;
  // ORDER  neither slot nor key leads to the heap, for every thread  <  the look at who is inside
  // WHY    a thread that entered because it did not see this has said before that it is inside, so
  //        that it is seen here.
  // CRASH  nothing of this is on the medium.
  // TEST   alloc/heap/heap_parts_test: ClosingTheGateWaitsForWhoIsInside
  BarrierInAllThreads();
  for_each_other([](ThreadHeap& one) { WaitUntilOutside(one.slot->inside); });
  // ORDER  a slot is empty for its thread, which is outside  <  the last look at the thread's key
  // WHY    a thread makes the heap its recent one only inside its slot, and forgets it where it
  //        finds the slot empty. So one that did between the first look at its key and the barrier
  //        is found here, and none does later.
  // CRASH  nothing of this is on the medium.
  // TEST   alloc/heap/heap_parts_test: NobodyIsInsideWhileTheGateIsClosed
  bool has_become = false;
  for_each_other([&](ThreadHeap& one) {
    has_become = has_become || one.state->recent.Is(key_);
    one.state->recent.ForgetIf(key_);
  });
  if (has_become) BarrierInAllThreads();
  for_each_other([](ThreadHeap& one) { WaitUntilOutside(one.state->recent.inside); });
}

void* ThreadParts::TakeInside(unsigned size_class) const {
  ThreadSlot* const slot = Enter();
  if (slot == nullptr) return nullptr;
  ThreadHeap& mine = *slot->thread_heap;
  void* block = mine.TryTake(size_class);
  if (block == nullptr) block = mine.Take(size_class);
  // A thread that goes from heap to heap has nothing of this one in its caches. So it asks now for
  // what free() will read.
  if (const Segment* const slab = segments_.At(block); slab != nullptr) __builtin_prefetch(slab);
  BeRecent(*slot);
  slot->Leave();
  return block;
}

ThreadParts::Freed ThreadParts::FreeInside(void* block) const {
  ThreadSlot* const slot = Enter();
  if (slot == nullptr) return Freed::kNo;
  BeRecent(*slot);
  ThreadHeap& mine = *slot->thread_heap;
  Segment* const slab = segments_.At(block);
  ThreadHeap* const owner = slab == nullptr ? nullptr : slab->owner.load(std::memory_order_acquire);
  if (owner == &mine) {
    const bool quick = IsRecent() && slab->quick == slot;
    if (!quick || !ThreadHeap::TryGive(*slab, block, my_state->recent)) mine.Give(*slab, block);
  } else if (owner != nullptr && !owner->ended()) {
    mine.FreeRemote(*slab, block);
  } else {
    slot->Leave();
    return Freed::kNo;
  }
  const bool due = mine.FlushIsDue();
  slot->Leave();
  return due ? Freed::kFlushIsDue : Freed::kYes;
}

// A ThreadHeap for the calling thread, which has none: that of a thread that has ended, or a new
// one. Returns nullptr if there is no memory.
ThreadHeap* ThreadParts::ForNewThread() {
  ThreadHeap* found = ended_;
  if (found != nullptr) {
    ended_ = found->next_ended;
    found->Begin();
    return found;
  }
  found = new (std::nothrow)
      ThreadHeap(segments_, &common_, new_parts_.persist, new_parts_.fine, new_parts_.unclean);
  if (found == nullptr) return nullptr;
  found->next = first_;
  first_ = found;
  return found;
}

Status ThreadParts::NoMemory() const {
  return Fail(Code::kNoMemory, "no memory for this thread's part of the heap at %p",
              static_cast<const void*>(units_.AddressOf(UnitIndex(0))));
}

Result<ThreadHeap*> ThreadParts::Mine() {
  ThreadState* const state = my_state;
  if (const ThreadSlot& slot = MySlot(); slot.Is(heap_)) return slot.thread_heap;
  ThreadSlot* const slot = state == &no_state ? nullptr : state->MakeSlot(place_);
  ThreadHeap* mine = nullptr;
  if (slot != nullptr) {
    const bool known = slot->opening == open_.opening;
    mine = known ? slot->thread_heap : ForNewThread();
  }
  if (mine == nullptr) return NoMemory();
  state->Hold(open_.number, *slot, open_.opening, mine);
  mine->state = state;
  if (mine->lent_bytes() == 0) Lend(*mine, units_.unit_count() * kUnitBytes);
  // The heap must not be the thread's recent one while its slot is empty, because EmptySlots()
  // looks only at ThreadHeaps with a slot.
  mine->slot = nullptr;
  state->recent.ForgetIf(key_);
  // A thread whose frees must be flushed first gets no slot, so that it takes the slow path; nor
  // does any thread in a guarded heap.
  if (SlotsCanBeEmptied() && closings_ == 0 && fills_slots_ && !mine->FlushIsDue()) {
    mine->slot = slot;
    if (!std::exchange(mine->is_in_use, true)) mine->next_in_use = std::exchange(in_use_, mine);
    slot->Fill(heap_, mine);
  }
  return mine;
}

// A later thread may have the ThreadHeap afterwards, and all threads what it held. The gate stays
// open, and no other thread's ThreadHeap is looked at, so that threads may come and go beside any
// number of others.
void ThreadParts::ThreadEnds(ThreadHeap& ended) {
  const std::lock_guard lock(lock_);
  // The thread may fence in a later destructor what it has flushed in an earlier one, when somebody
  // else has the ThreadHeap. The fence of the frees is for that, too.
  ended.pending().Flush(new_parts_.persist, units_.AddressOf(UnitIndex(units_.unit_count())));
  ended.End([this](Segment* segment) { central_.ListIfRoom(segment); });
  ended.pending().Fenced();
  if (new_parts_.fine && ended.lent_bytes() != 0) budget_.GiveBack(ended.lent_bytes());
  if (new_parts_.fine) ended.Borrow(0);
  central_.touched().TakeAll(ended.touched());
  ended.state = nullptr;
  ended.slot = nullptr;
  ended.next_ended = std::exchange(ended_, &ended);
}

// A slab that had no room when its thread ended still has that thread's ThreadHeap as its owner. If
// others have freed blocks of it since, it becomes available to all threads here.
void ThreadParts::Reclaim() {
  if (!common_.HasRemote()) return;
  common_.DrainRemote();
  common_.Abandon([this](Segment* segment) { central_.ListIfRoom(segment); });
  central_.touched().TakeAll(common_.touched());
}

void ThreadParts::DrainAll() {
  // A slab may be in the list of an owner that it had before. From there it goes to the one that it
  // has now, whose turn may have been already.
  for (int i = 0; i < 2; ++i) {
    Reclaim();
    for (ThreadHeap* one = first_; one != nullptr; one = one->next) one->DrainRemote();
  }
}

void ThreadParts::Lend(ThreadHeap& mine, uint64_t heap_bytes) {
  if (!new_parts_.fine) return;
  const uint64_t bytes = budget_.Lend(heap_bytes, mine.lent_bytes());
  mine.Borrow(bytes);
  if (bytes == 0) LendAnew(&mine, heap_bytes);
}

void ThreadParts::LendAnew(const ThreadHeap* mine, uint64_t heap_bytes) {
  const Gate closed(*this);
  uint64_t borrowers = 0;
  for (ThreadHeap* one = first_; one != nullptr; one = one->next) {
    one->FlushFrees();
    if (one == mine || one->lent_bytes() != 0) ++borrowers;
  }
  if (borrowers == 0) return;
  const uint64_t share = budget_.LendAnew(heap_bytes, borrowers);
  for (ThreadHeap* one = first_; one != nullptr; one = one->next) {
    if (one == mine || one->lent_bytes() != 0) one->Borrow(share);
  }
}

}  // namespace morsel::alloc
