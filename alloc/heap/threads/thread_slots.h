// Which ThreadHeap is the calling thread's, of each open heap, and the gate before it.
//
// A thread works on its part of a heap without a lock, at the price of two plain
// stores to its slot: it says that it is inside, and then looks whether the slot is
// still the heap's. Whoever needs the heap to itself empties the slots, and then
// waits until nobody is inside. Each side would need a full barrier between its two
// steps; the second, who is rare, makes one in all running threads of the process:
// membarrier(2). The technique is that of biased locks and asymmetric Dekker
// synchronization (Dice, Huang, Yang 2001).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace morsel::alloc {

class Heap;
class ThreadHeap;

/// One of a thread's most recently used heaps.
struct ThreadSlot {
  std::atomic<const Heap*> heap{nullptr};  ///< nullptr: nobody's
  ThreadHeap* thread_heap = nullptr;       ///< as long as it is somebody's
  int64_t frees_left = 0;                  ///< so many may be made before they are settled
  std::atomic<uint32_t> inside{0};

  // Threads  the slot's own.

  /// Whether the slot is the heap's, and stays it until Leave(); nothing that waits comes between.
  [[nodiscard]] bool Enter(const Heap* whose) {
    inside.store(1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (Is(whose)) [[likely]]
      return true;
    Leave();
    return false;
  }
  bool Is(const Heap* whose) const { return heap.load(std::memory_order_acquire) == whose; }
  void Leave() { inside.store(0, std::memory_order_release); }

  /// The heap's lock is held.
  void Fill(const Heap* whose, ThreadHeap* part, uint64_t frees) {
    thread_heap = part;
    frees_left = static_cast<int64_t>(frees);
    heap.store(whose, std::memory_order_release);
  }
  /// Threads  any.
  void Empty() { heap.store(nullptr, std::memory_order_release); }
};
inline constexpr size_t kThreadSlots = 32;
// The model of the executable's own thread-local storage, so that a shared library reads it
// without a call; what it takes of a process' reserve for such libraries is small.
extern thread_local constinit ThreadSlot thread_slots[kThreadSlots]
    __attribute__((tls_model("initial-exec")));

/// Where a thread's slot of that number is, in bytes from the thread's pointer: the same in each.
inline ptrdiff_t SlotOffset(uint64_t number) {
  return reinterpret_cast<char*>(&thread_slots[number % kThreadSlots]) -
         static_cast<char*>(__builtin_thread_pointer());
}
/// The calling thread's.
inline ThreadSlot& SlotAt(ptrdiff_t slot_offset) {
  return *reinterpret_cast<ThreadSlot*>(static_cast<char*>(__builtin_thread_pointer()) +
                                        slot_offset);
}

/// Whether slots can be emptied under a thread's feet; if not, none may be filled.
bool SlotsCanBeEmptied();

void WaitUntilOutside(const std::atomic<uint32_t>& inside);
/// Makes every running thread of the process see what the caller stored before.
void BarrierInAllThreads();

}  // namespace morsel::alloc
