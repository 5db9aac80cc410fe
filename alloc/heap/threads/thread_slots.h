// The slots in which a thread keeps its ThreadHeaps of the open heaps, and the gate, which
// keeps threads out of a heap.
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
#include <bit>
#include <cstddef>
#include <cstdint>

namespace morsel::alloc {

class Heap;
class ThreadHeap;

/// What a thread has of one heap. Each open heap has a number (thread_ends.h), which says where its
/// slot lies in every thread. Heaps that are open one after the other may have the same number.
struct ThreadSlot {
  std::atomic<const Heap*> heap{nullptr};  ///< nullptr: the slot is empty
  ThreadHeap* thread_heap = nullptr;       ///< the thread's part of the heap that `opening` names
  /// The heap of which the thread has a part, which may be closed by now; 0: none. The slot may be
  /// empty meanwhile.
  uint64_t opening = 0;
  std::atomic<uint32_t> inside{0};  ///< 1 while the thread is inside
  uint32_t next = 0;  ///< the number of the thread's next slot with an `opening`; 0: none

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

static_assert(sizeof(ThreadSlot) == 32, "a slot lies in one cache line");

/// A thread's slots lie in tables, because they stay where they are while their number grows. The
/// first table has this many slots, and each later one as many as all before it.
inline constexpr uint32_t kFirstSlots = 64;
inline constexpr uint32_t kSlotTables = 20;  ///< for more heaps than a process can have open

/// Where a heap's slots lie.
struct SlotPlace {
  uint32_t table = 0;
  uint32_t index = 0;

  static constexpr uint32_t SlotsIn(uint32_t table) {
    return table == 0 ? kFirstSlots : kFirstSlots << (table - 1);
  }
  /// The place of the slots of the heap with that number.
  static constexpr SlotPlace Of(uint32_t number) {
    const auto table = static_cast<uint32_t>(std::bit_width(number / kFirstSlots));
    return {table, table == 0 ? number : number - SlotsIn(table)};
  }
};

/// Whether a thread can empty the slots of others, for which it needs membarrier(2). If not, no
/// slot may be filled, and all calls take the heap's lock.
bool SlotsCanBeEmptied();

/// Waits until the thread that `inside` belongs to has left. It sleeps meanwhile, so that the
/// thread that is inside runs, whatever the two threads' priorities are. That thread wakes up
/// nobody: to look for somebody who waits would make every malloc() and free() longer. So the sleep
/// ends by itself, and is repeated.
/// Cost  no system call if the thread leaves at once.
void WaitUntilOutside(const std::atomic<uint32_t>& inside);
/// Executes a full memory barrier in every running thread of the process, so that each sees what
/// the caller stored before. Does nothing where slots cannot be emptied.
void BarrierInAllThreads();

}  // namespace morsel::alloc
