// What a thread has of all heaps: the heap that it used last, and its slots.
//
// Whoever has a heap alone writes into this of other threads. So it is no thread-local memory: it
// stays when its thread is gone, whether anybody was told of that or not.
#pragma once

#include "alloc/heap/threads/recent_heap.h"
#include "alloc/heap/threads/thread_slots.h"
#include "base/thread_areas.h"
#include "base/units.h"

namespace morsel::alloc {

struct alignas(kLineBytes) ThreadState : ThreadArea {
  RecentHeap recent;
  /// As many as the thread needed so far; the others are nullptr. A table is never unmapped.
  ThreadSlot* tables[kSlotTables];
  uint32_t held;  ///< the number of the first slot with an `opening`; 0: none
  ThreadSlot first_slots[kFirstSlots];

  // Threads  the one that has the state.

  /// The slot at that place, or nullptr if its table is not there.
  ThreadSlot* SlotAt(SlotPlace place) {
    ThreadSlot* const table = tables[place.table];
    return table != nullptr ? table + place.index : nullptr;
  }
  /// As SlotAt(), but makes the table. Returns nullptr if there is no memory.
  ThreadSlot* MakeSlot(SlotPlace place);
  /// From now on the thread has `part` of the heap that was given `number` and `opening`.
  void Hold(uint32_t number, ThreadSlot& slot, uint64_t opening, ThreadHeap* part) {
    if (slot.opening == 0) {
      slot.next = held;
      held = number;
    }
    slot.opening = opening;
    slot.thread_heap = part;
  }
  /// A slot of the thread that has an `opening`.
  ThreadSlot& Held(uint32_t number) {
    const SlotPlace place = SlotPlace::Of(number);
    return tables[place.table][place.index];
  }
  /// No slot and no key leads to a heap afterwards, and the thread is in none.
  void Forget();
};

/// What threads have that have no state of their own, because they have called nothing yet that
/// needs one. No heap is found in it, ever.
extern constinit ThreadState no_state;
/// The calling thread's. With this model, which is the one for an executable's own thread-local
/// storage, a shared library reads it without a call.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local ThreadState* my_state;

/// What a thread finds where it has no slot. It is empty, ever.
extern constinit ThreadSlot no_slot;

/// The calling thread's slot at that place.
inline ThreadSlot& SlotAt(SlotPlace place) {
  ThreadSlot* const slot = my_state->SlotAt(place);
  return slot != nullptr ? *slot : no_slot;
}

}  // namespace morsel::alloc
