// The slots in which a thread keeps its ThreadHeaps of the heaps that it used recently,
// and the gate, which keeps threads out of a heap.
//
// A thread works on its ThreadHeap without a lock. That costs it two plain stores to its
// slot, one to enter and one to leave. To enter, it stores that it is inside, and then
// looks whether the slot still belongs to the heap. A thread that needs the heap to
// itself closes the gate: it empties the slots of all threads, and then waits until none
// of them is inside. Both sides need a full memory barrier between their two steps.
// Since closing the gate is rare, the closer makes the barrier on behalf of all running
// threads of the process, with membarrier(2). This is the technique of biased locks and
// of asymmetric Dekker synchronization (Dice, Huang, Yang 2001).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace morsel::alloc {

class Heap;
class ThreadHeap;

/// One of a thread's most recently used heaps.
struct ThreadSlot {
  std::atomic<const Heap*> heap{nullptr};  ///< nullptr: the slot is empty
  ThreadHeap* thread_heap = nullptr;       ///< the thread's part of `heap`
  std::atomic<uint32_t> inside{0};         ///< 1 while the thread is inside

  // Threads  the thread that the slot belongs to, unless said otherwise.

  /// Whether the slot belongs to the heap. If so, the thread is inside: until Leave(), nobody else
  /// uses its ThreadHeap. The thread must wait for nothing before that, because whoever closes the
  /// gate waits for it.
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

  /// Makes the slot the heap's, with the thread's `part` of it. The heap's lock is held.
  void Fill(const Heap* whose, ThreadHeap* part) {
    thread_heap = part;
    heap.store(whose, std::memory_order_release);
  }
  /// From now on the thread cannot enter by the slot. It may still be inside.
  /// Threads  any.
  void Empty() { heap.store(nullptr, std::memory_order_release); }
};

/// Whether a thread can empty the slots of others, for which it needs membarrier(2). If not, no
/// slot may be filled, and all calls take the heap's lock.
bool SlotsCanBeEmptied();

/// Waits until the thread that `inside` belongs to has left.
void WaitUntilOutside(const std::atomic<uint32_t>& inside);
/// Executes a full memory barrier in every running thread of the process, so that each sees what
/// the caller stored before. Does nothing where slots cannot be emptied.
void BarrierInAllThreads();

}  // namespace morsel::alloc
