// The heap that the calling thread used last, with all that malloc and free need of
// it: they compare one word, and look at no slot.
//
// It is to a slot (thread_slots.h) what the slot is to the list of a heap's parts:
// what was looked up the last time. Who empties the heap's slots takes it away, too,
// and waits until nobody is inside: EmptySlots() of heap.cc has the order.
#pragma once

#include <atomic>
#include <cstdint>

#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/threads/thread_slots.h"

namespace morsel::alloc {

struct RecentHeap {
  static constexpr uintptr_t kNone = 1;  ///< no heap's key, and not nullptr

  std::atomic<uintptr_t> key{kNone};
  ThreadHeap* part = nullptr;
  /// Read anew where it is needed: free() has no register to spare for it.
  std::atomic<ThreadSlot*> slot{nullptr};
  SegmentView segments{};
  std::atomic<uint32_t> inside{0};

  // Threads  the thread's own.

  /// Whether it is that heap, and stays it until Leave().
  [[nodiscard, gnu::always_inline]] bool Enter(const void* whose) {
    inside.store(1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (Is(whose)) [[likely]]
      return true;
    Leave();
    return false;
  }
  bool Is(const void* whose) const {
    return key.load(std::memory_order_acquire) == reinterpret_cast<uintptr_t>(whose);
  }
  [[gnu::always_inline]] void Leave() { inside.store(0, std::memory_order_release); }

  /// The thread is inside its slot of that heap.
  void Become(const void* whose, const Heap* heap, ThreadSlot& its_slot,
              const SegmentView& its_runs) {
    part = its_slot.thread_heap;
    slot.store(&its_slot, std::memory_order_relaxed);
    segments = its_runs;
    // ORDER  the key  <  the look at the slot
    // WHY    who empties the slots takes the keys away behind that and a barrier: one of the two
    //        sees what the other did. Else the key would stay when the heap is not to be used.
    // CRASH  nothing of this is on the medium.
    // TEST   alloc/heap/threads/recent_heap_test: BecomesNoHeapThatSomebodyWants
    key.store(reinterpret_cast<uintptr_t>(whose), std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (!its_slot.Is(heap)) Forget();
  }
  ThreadSlot* TheSlot() const { return slot.load(std::memory_order_relaxed); }
  void Forget() { key.store(kNone, std::memory_order_relaxed); }

  /// Threads  any.
  void ForgetIf(const void* whose) {
    uintptr_t expected = reinterpret_cast<uintptr_t>(whose);
    key.compare_exchange_strong(expected, kNone);
  }
};
extern thread_local constinit RecentHeap recent_heap __attribute__((tls_model("initial-exec")));

}  // namespace morsel::alloc
