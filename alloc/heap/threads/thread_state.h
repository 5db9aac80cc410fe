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

inline constexpr size_t kThreadSlots = 32;

struct alignas(kLineBytes) ThreadState : ThreadArea {
  RecentHeap recent;
  ThreadSlot slots[kThreadSlots];

  /// No slot and no key leads to a heap afterwards.
  void Forget() {
    recent.Forget();
    for (ThreadSlot& slot : slots) slot.Empty();
  }
};

/// What threads have that have no state of their own, because they have called nothing yet that
/// needs one. No heap is found in it, ever.
extern constinit ThreadState no_state;
/// The calling thread's. With this model, which is the one for an executable's own thread-local
/// storage, a shared library reads it without a call.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local ThreadState* my_state;

/// Where slot `number`, modulo kThreadSlots, lies among a thread's slots, in bytes.
inline size_t SlotOffset(uint64_t number) { return number % kThreadSlots * sizeof(ThreadSlot); }
/// The calling thread's slot at that offset.
inline ThreadSlot& SlotAt(size_t slot_offset) {
  return *reinterpret_cast<ThreadSlot*>(reinterpret_cast<char*>(my_state->slots) + slot_offset);
}

}  // namespace morsel::alloc
