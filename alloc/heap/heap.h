// The heap of one morsel: it knows who owns which bytes of the morsel's range.
//
// malloc and free store bits and flush nothing. A block's bit becomes durable with the
// first flush and fence that cover a byte of the block. A crash can therefore leave a
// block allocated that nobody can reach, but never free one that somebody can. Such
// unreachable blocks are those that were allocated and never linked, those that each
// thread had in its magazines, and those that had been freed lately: at most
// kFreesUnflushedMax by each thread, magazines included, and FreeBudget::BytesMax()
// bytes by all threads together.
//
// Each thread has a ThreadHeap, in which it allocates and frees without a lock. All
// other work needs the heap's lock, and work on the ThreadHeaps of other threads needs
// the gate to be closed as well (stopped_world.h).
//
// Heap is the front: its parts do the work, and know nothing of it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "alloc/heap/block_calls.h"
#include "alloc/heap/durability.h"
#include "alloc/heap/guarded_blocks.h"
#include "alloc/heap/heap_place.h"
#include "alloc/heap/heap_walk.h"
#include "alloc/heap/layout/heap_layout.h"
#include "alloc/heap/live_bytes.h"
#include "alloc/heap/plain_blocks.h"
#include "alloc/heap/segments/central_slabs.h"
#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/stopped_world.h"
#include "alloc/heap/supply/block_source.h"
#include "alloc/heap/supply/extents.h"
#include "alloc/heap/supply/heap_facts.h"
#include "alloc/heap/supply/heap_range.h"
#include "alloc/heap/supply/host_memory.h"
#include "alloc/heap/supply/known_segments.h"
#include "alloc/heap/supply/slab_recall.h"
#include "alloc/heap/supply/unit_source.h"
#include "alloc/heap/threads/free_budget.h"
#include "alloc/heap/threads/recent_heap.h"
#include "alloc/heap/threads/thread_heap.h"
#include "alloc/heap/threads/thread_parts.h"
#include "alloc/heap/threads/thread_state.h"
#include "base/mutex.h"
#include "base/result.h"
#include "os/memory/dense_memory.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// What a heap has done since it was opened, for tests of what its calls cost.
struct HeapWork {
  uint64_t gates_closed = 0;
  uint64_t slabs_counted = 0;   ///< slabs whose bits were counted for StoppedWorld::LiveBytes()
  uint64_t slabs_searched = 0;  ///< slabs that were looked at because there was no room
  uint64_t heads_read = 0;      ///< heads of an earlier process that were looked at
};

/// Threads  any, unless said otherwise.
class Heap final : public os::InDenseMemory {
 public:
  /// Opens the heap at `place`. `fine`: under the fine contract stores reach the medium one by one,
  /// so that the last process may have left the heap unclean; otherwise it was written as a whole.
  /// `read_only`: the heap stores nothing on the medium. `budget`: how much may be freed without
  /// being durable.
  /// Durability  if `fine` and not `read_only`, the mark that the heap is in use: on return.
  /// Ownership   the memory of `place` outlives the heap.
  /// Errors      kCorrupt, kVersion, kNoMemory.
  /// Cost        independent of the heap's size.
  static Result<std::unique_ptr<Heap>> Open(const HeapPlace& place, pmem::Persist persist,
                                            bool fine, bool read_only,
                                            FreeBudget budget = FreeBudget());
  /// Stores nothing: without Close(), the heap is left as a kill would leave it.
  /// Threads  no other thread is in the heap.
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  /// The guard, which the heap owns, or nullptr if the heap is not guarded.
  Guard* guard() const { return guarded_ != nullptr ? &guarded_->guard() : nullptr; }

  /// Sets the key by which TryAllocate() and TryFree() find the heap. It is the heap's own address
  /// at first. The key before finds nothing from now on.
  void set_key(const void* key);

  /// As Allocate(size_bytes, 16) of the heap whose key is `key`, which may be any address. Returns
  /// nullptr if that would take longer, or would fail.
  /// Cost  no lock, and no store to the medium. It calls nothing.
  [[gnu::always_inline]] static void* TryAllocate(const void* key, uint64_t size_bytes) {
    unsigned size_class;
    if (size_bytes <= kSmallBytesMax) [[likely]] {
      size_class = ClassOfSmall(size_bytes);
    } else if (size_bytes <= kBlockBytesMax) {
      size_class = ClassOf(size_bytes);
    } else {
      return nullptr;
    }
    RecentHeap& recent = my_state->recent;
    if (!recent.Enter(key)) [[unlikely]]
      return nullptr;
    void* const block = recent.part->TryTake(size_class);
    recent.Leave();
    return block;
  }

  /// Hands out a block of the class from the calling thread's ThreadHeap. Returns nullptr if that
  /// has none, or if the thread has no slot of the heap.
  /// Cost  no lock; a few stores to the medium and no flush.
  void* TakeInside(unsigned size_class) { return parts_.TakeInside(size_class); }

  /// Allocates a block of at least size_bytes, which may be 0, at a multiple of `alignment`.
  /// Durability  none; Flush() of a byte of the block and Fence() make the allocation durable.
  /// Ownership   the caller's, until Free().
  /// Units       alignment: bytes, a power of two up to 1 GiB.
  /// Errors      kNoSpace; kInvalidArgument: the alignment; kCorrupt; kNoMemory.
  /// Cost        no flush, unless a slab or a region's map is made, an extent crosses regions, the
  ///             free of the units is not durable yet, or this thread's frees must be flushed.
  Result<void*> Allocate(uint64_t size_bytes, uint64_t alignment) {
    return calls_->Allocate(size_bytes, alignment);
  }

  /// As Allocate(size_bytes, 16), and the bytes that were asked for are zero.
  /// Cost  memory that is known to be zero is not touched if the block is an extent: what was never
  ///       used since the range got it in this process or, of frames, what was never touched there.
  Result<void*> AllocateZeroed(uint64_t size_bytes) { return calls_->AllocateZeroed(size_bytes); }

  /// Frees a block. Ends the process if no live block begins at `block`. It may overlook that a
  /// block is freed twice while a magazine has it, or while another thread delays its free (see
  /// ThreadHeap::FreeRemote()). In a guarded heap it always notices.
  /// Durability  none before FlushFrees(); kFreesUnflushedMax and FreeBudget bound what a crash may
  ///             undo.
  void Free(void* block) {
    if (!FreeInside(block)) calls_->Free(block);
  }

  /// As Free(), but returns false and does nothing if the free itself needs the heap's lock. When
  /// the thread's frees must be flushed afterwards, it does take the lock.
  bool FreeInside(void* block) { return durability_.FlushIfDue(parts_.FreeInside(block)); }

  /// As Free() of the heap whose key is `key`, which may be any address. Returns false, with
  /// nothing freed, if that would take longer.
  /// Cost  no lock, and one store to the medium at most. It calls nothing.
  [[gnu::always_inline]] static bool TryFree(const void* key, void* block) {
    RecentHeap& recent = my_state->recent;
    if (!recent.Enter(key)) [[unlikely]]
      return false;
    Segment* const slab = recent.segments.At(block);
    const bool freed = slab != nullptr && slab->quick == recent.TheSlot() &&
                       ThreadHeap::TryGive(*slab, block, recent);
    recent.Leave();
    return freed;
  }

  /// As TryFree(), for a block of another thread of which neighbours were freed lately. For who has
  /// had TryFree() fail.
  /// Cost  no lock, and no store to the medium.
  [[gnu::always_inline]] static bool TryFreeRemote(const void* key, void* block) {
    RecentHeap& recent = my_state->recent;
    if (!recent.Enter(key)) [[unlikely]]
      return false;
    Segment* const slab = recent.segments.At(block);
    const bool freed = slab != nullptr && recent.part->TryFreeRemote(*slab, block);
    recent.Leave();
    return freed;
  }

  /// As realloc(3) of a live block, where size_bytes is not 0. A large block stays where it is if
  /// the units behind it are free, or if it is the last one and the range can grow. Ends the
  /// process if no live block begins at `block`.
  /// Durability  as Allocate() and Free().
  /// Errors      as Allocate(); the block stays as it was. Making a block smaller never fails with
  ///             kNoSpace, unless the heap is guarded.
  /// Cost        no lock, where a small block stays where it is.
  Result<void*> Reallocate(void* block, uint64_t size_bytes) {
    return calls_->Reallocate(block, size_bytes);
  }

  /// How many bytes the program may use of a block; in a guarded heap, those that it asked for.
  /// Ends the process if no live block begins at `block`.
  uint64_t UsableBytes(const void* block) { return calls_->UsableBytes(block, "usable_size"); }

  /// Whether `address` lies in a live block; with `must_begin`, whether one begins there. It may
  /// overlook that another thread has freed the block and delays that (see
  /// ThreadHeap::FreeRemote()).
  /// Errors  kCorrupt, kNoMemory.
  /// Cost    stops all other threads for a moment, but not if the block is of a slab that the
  ///         calling thread holds, as its latest blocks are, or if it is an extent.
  Result<bool> IsLive(const void* address, bool must_begin = false) {
    return calls_->IsLive(address, must_begin);
  }

  /// Flushes size_bytes from `address` on, and the allocation of each block that they touch. If
  /// size_bytes is 0, flushes only the allocation of the block that covers `address`. The range
  /// lies in the heap.
  /// Durability  with the calling thread's next Fence().
  /// Errors      kCorrupt, kNoMemory: an allocation cannot be looked up.
  Status Flush(const void* address, uint64_t size_bytes) {
    return durability_.Flush(address, size_bytes);
  }
  /// Copies size_bytes to `to`, and flushes them and the allocations that they touch, as Flush()
  /// does. The two ranges do not overlap.
  /// Durability  with the calling thread's next Fence().
  /// Errors      as Flush().
  Status Copy(void* to, const void* from, uint64_t size_bytes) {
    return durability_.Copy(to, from, size_bytes);
  }
  /// Makes durable what the calling thread has flushed.
  /// Durability  on return.
  void Fence() { durability_.Fence(); }

  /// Takes the heap's lock. While it is held, calls wait that change the range or the roots, or
  /// that need more than their own ThreadHeap. The holder may call facts(), and range(), of which
  /// the lock is.
  [[nodiscard]] std::unique_lock<Mutex> Lock() { return std::unique_lock(mutex_); }
  /// Stops all other threads that are in the heap, until the result is gone.
  /// Cost  by the number of threads that have used the heap since the last time.
  [[nodiscard]] StoppedWorld StopTheWorld() { return {stopped_, guard()}; }
  /// As StopTheWorld(), but frees first what a guard keeps, so that LiveBytes() does not count it.
  [[nodiscard]] StoppedWorld StopAndRelease() {
    calls_->ReleaseKept();
    return StopTheWorld();
  }

  /// The heap's header, how it was opened, and its root table, for the layer above.
  const HeapFacts& facts() const { return facts_; }
  /// How large the heap is, and how it grows.
  HeapRange& range() { return range_; }

  /// Checks the invariants of heap_layout.h, and calls `report` for each place where one does not
  /// hold, with the heap's lock held. Changes nothing.
  void Validate(const std::function<void(const std::string& message)>& report);
  HeapWork work();

 private:
  Heap(const HeapPlace& place, pmem::Persist persist, bool fine, bool read_only, bool unclean,
       FreeBudget budget);

  // Threads read these without the lock, so they share no cache line with what is written often.
  alignas(kLineBytes) SegmentTable table_;
  const HeapFacts facts_;
  BlockCalls* calls_ = &plain_;  ///< what the program's calls go to
  Durability durability_{facts_, table_, units_, parts_, known_};
  PlainBlocks plain_{
      facts_,
      {mutex_, table_, central_, parts_, known_, range_, host_, extents_, source_, durability_}};

  alignas(kLineBytes) Mutex mutex_{LockRank::kHeap};  ///< the heap's lock
  UnitMap units_;
  CentralSlabs central_;
  ThreadParts parts_;
  KnownSegments known_;
  HeapRange range_{*facts_.header, units_};
  HostMemory host_;
  SlabRecall recall_{units_, table_, central_, parts_, known_};
  UnitSource unit_source_{units_, range_, known_, recall_};
  Extents extents_{facts_, units_, table_, parts_.budget(), known_, range_, unit_source_, host_};
  BlockSource source_{
      facts_,
      {units_, table_, central_, parts_, known_, recall_, range_, unit_source_, host_, extents_}};
  HeapWalk walk_{units_};
  LiveBytes live_;
  const StoppedParts stopped_{mutex_,  facts_,      units_, parts_, known_,
                              recall_, durability_, walk_,  live_};
  std::unique_ptr<GuardedBlocks> guarded_;  ///< nullptr: no guard stands in front
};

}  // namespace morsel::alloc
