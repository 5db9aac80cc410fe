// The parts that threads have of one heap, and its gate. A thread works in its part, its
// ThreadHeap, without a lock. Whoever closes the gate has all parts to himself.
#pragma once

#include <cstdint>
#include <mutex>

#include "alloc/heap/segments/central_slabs.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/threads/free_budget.h"
#include "alloc/heap/threads/recent_heap.h"
#include "alloc/heap/threads/thread_ends.h"
#include "alloc/heap/threads/thread_heap.h"
#include "alloc/heap/threads/thread_slots.h"
#include "alloc/heap/threads/thread_state.h"
#include "base/mutex.h"
#include "base/result.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// What threads have of a heap when it is made.
struct NewParts {
  pmem::Persist persist;
  bool fine;
  bool unclean;
  FreeBudget budget;
};

/// Threads  the holder of the heap's lock, unless said otherwise.
class ThreadParts final : private ThreadEndListener {
 public:
  /// `heap` is what slots name, `lock` its lock.
  /// Ownership  all of them outlive this object.
  ThreadParts(const Heap* heap, Mutex& lock, const SegmentTable& segments, const UnitMap& units,
              CentralSlabs& central, const NewParts& parts);
  /// Threads  no thread is in the heap; the lock is free.
  ~ThreadParts();
  ThreadParts(const ThreadParts&) = delete;
  ThreadParts& operator=(const ThreadParts&) = delete;

  /// The calling thread's slot of the heap, which it may Enter().
  /// Threads  any.
  ThreadSlot& MySlot() const { return SlotAt(place_); }
  /// Enters it and returns it, or returns nullptr if it is empty.
  /// Threads  any.
  ThreadSlot* Enter() const {
    ThreadSlot& slot = MySlot();
    return slot.Enter(heap_) ? &slot : nullptr;
  }
  /// Takes the heap's lock for a call that needs Mine().
  /// Threads  any that does not hold it.
  std::unique_lock<Mutex> LockForMine() {
    (void)MyState();  // while no lock is held
    return std::unique_lock(lock_);
  }

  // These read of this object only what lies in its first cache line: a thread that goes through
  // many heaps finds nothing of them in its caches.

  /// Hands out a block of the class from the calling thread's part. Returns nullptr if that has
  /// none, or if the thread has no slot of the heap.
  /// Threads  any.
  /// Cost     no lock; a few stores to the medium and no flush.
  void* TakeInside(unsigned size_class) const;
  enum class Freed {
    kNo,          ///< the free itself needs the heap's lock; nothing is done
    kYes,         ///< it is freed
    kFlushIsDue,  ///< it is freed, and the thread's frees must be flushed
  };
  /// Frees a block of a slab that the calling thread or another one holds.
  /// Threads  any.
  /// Cost     no lock, and one store to the medium at most.
  Freed FreeInside(void* block) const;

  /// Makes the heap the calling thread's recent one. The thread is inside `slot`, its own.
  /// Threads  any.
  void BeRecent(ThreadSlot& slot) const {
    RecentHeap& recent = my_state->recent;
    if (!recent.Is(key_)) recent.Become(key_, heap_, slot, segments_.view());
  }
  /// Whether the heap is the calling thread's recent one.
  /// Threads  any.
  bool IsRecent() const { return my_state->recent.Is(key_); }

  /// Sets the key by which a thread finds its recent heap. The key before finds nothing from now
  /// on.
  void set_key(const void* key);

  /// Returns the calling thread's part, and fills its slot if it may have one. MyState() was called
  /// before the lock was taken.
  /// Errors  kNoMemory.
  Result<ThreadHeap*> Mine();
  /// Says that there is no memory for the calling thread's part.
  Status NoMemory() const;
  /// What an earlier process left is durable now: frees of new threads need no flush for it.
  void RecoveredIsDurable() { new_parts_.unclean = false; }
  /// From now on no slot is filled, so that each call takes the lock, and a guard keeps some
  /// blocks. The gate is closed, and no thread has freed anything.
  void BeGuarded() {
    fills_slots_ = false;
    budget_.BeGuarded();
  }

  /// The first part of those of all threads; the others follow by `next`. nullptr: there is none.
  ThreadHeap* first() const { return first_; }
  /// Whether what has that owner has none that lives: it is nullptr, or no thread's.
  bool IsCommon(const ThreadHeap* owner) const { return owner == nullptr || owner == &common_; }

  /// Makes slabs available that ended threads have abandoned without room, if others have freed
  /// blocks of them since.
  void Reclaim();
  /// Frees all that threads have freed of others' slabs. No thread's list has a slab afterwards.
  /// The gate is closed.
  void DrainAll();

  /// Lends `mine`, whose frees are durable, its share of those that need not be. `heap_bytes`: the
  /// size of the heap.
  void Lend(ThreadHeap& mine, uint64_t heap_bytes);
  /// Flushes the frees of all threads, and lends each its share anew; `mine` gets one, too.
  void LendAnew(const ThreadHeap* mine, uint64_t heap_bytes);
  const FreeBudget& budget() const { return budget_; }

  uint64_t gates_closed() const { return gates_closed_; }

  /// Keeps the gate closed while it lives, so that no other thread is in the heap. The slots stay
  /// empty afterwards: each thread fills its own again when it next gets the lock. One thread may
  /// nest Gates.
  class Gate {
   public:
    explicit Gate(ThreadParts& parts);
    ~Gate() { --parts_.closings_; }
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

   private:
    ThreadParts& parts_;
  };

 private:
  void ThreadEnds(ThreadHeap& ended) override;
  void EmptySlots();
  ThreadHeap* ForNewThread();

  // Threads read these without the lock, so they share no cache line with what is written often.
  alignas(kLineBytes) const OpenHeap open_;
  const SlotPlace place_;  ///< where each thread has its slot
  const void* key_;
  const Heap* const heap_;
  const SegmentTable& segments_;

  alignas(kLineBytes) Mutex& lock_;
  const UnitMap& units_;
  CentralSlabs& central_;
  NewParts new_parts_;
  ThreadHeap* first_ = nullptr;   ///< all but the common one
  ThreadHeap* in_use_ = nullptr;  ///< those with a slot since the gate was closed last
  ThreadHeap* ended_ = nullptr;   ///< those whose threads have ended
  FreeBudget budget_;
  uint32_t closings_ = 0;  ///< how many nested Gates there are
  uint64_t gates_closed_ = 0;
  bool fills_slots_ = true;
  /// No thread's. It has what ended threads have left, while that is looked through.
  ThreadHeap common_;
};

}  // namespace morsel::alloc
