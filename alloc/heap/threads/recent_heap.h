// The heap that the calling thread used last, with everything that malloc and free need
// of it. They compare one word, and look at no slot.
//
// A RecentHeap caches what a slot (thread_slots.h) says, just as a slot caches what the
// list of a heap's ThreadHeaps says. A thread that empties the heap's slots therefore
// clears the recent heaps, too, and waits until their threads have left them. The order
// of these steps is argued in ThreadParts::EmptySlots() (thread_parts.cc).
#pragma once

#include <atomic>
#include <cstdint>

#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/threads/thread_slots.h"

namespace morsel::alloc {

struct RecentHeap {
  static constexpr uintptr_t kNone = 1;  ///< no heap's key; callers may pass nullptr, but not this

  std::atomic<uintptr_t> key{kNone};
  ThreadHeap* part = nullptr;  ///< the thread's part of the heap
  /// Loaded again at each use, because free() has no register to keep it in.
  std::atomic<ThreadSlot*> slot{nullptr};
  SegmentView segments{};
  std::atomic<uint32_t> inside{0};

  // Threads  the thread that this belongs to, unless said otherwise.

  /// Whether the recent heap has the key `whose`. If so, the thread is inside: until Leave(),
  /// nobody else uses its ThreadHeap. The thread must wait for nothing before that.
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

  /// Makes `heap` the recent heap. `whose` is its key, and the thread is inside `its_slot` of it.
  void Become(const void* whose, const Heap* heap, ThreadSlot& its_slot,
              const SegmentView& its_segments) {
    part = its_slot.thread_heap;
    slot.store(&its_slot, std::memory_order_relaxed);
    segments = its_segments;
    // ORDER  the key  <  the look at the slot
    // WHY    a thread that empties the slots clears the keys after that and a barrier. So either it
    //        sees this key, or this thread sees the empty slot. Otherwise the key would stay while
    //        nobody may enter the heap.
    // CRASH  nothing of this is on the medium.
    // TEST   alloc/heap/threads/recent_heap_test: BecomesNoHeapWhoseSlotWasEmptied
    key.store(reinterpret_cast<uintptr_t>(whose), std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (!its_slot.Is(heap)) Forget();
  }
  ThreadSlot* TheSlot() const { return slot.load(std::memory_order_relaxed); }
  /// No heap is the recent one afterwards.
  void Forget() { key.store(kNone, std::memory_order_relaxed); }

  /// Forgets the recent heap if its key is `whose`.
  /// Threads  any.
  void ForgetIf(const void* whose) {
    uintptr_t expected = reinterpret_cast<uintptr_t>(whose);
    key.compare_exchange_strong(expected, kNone);
  }
};
}  // namespace morsel::alloc
