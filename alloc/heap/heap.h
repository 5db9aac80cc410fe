// The heap of one morsel: who owns which bytes of its range.
//
// malloc and free store bits and flush nothing; a block's bit becomes durable with
// the first flush and fence that touch the block. A crash can therefore leave a
// block allocated that nobody reaches, never the reverse; after a crash at most
// kFreesUnflushedMax blocks that each thread freed, or had taken ahead and not
// handed out, are still allocated, and whatever was allocated and never linked.
//
// Each thread has a ThreadHeap, in which it allocates and frees without a lock.
// All else is done with the heap's lock held, and what needs all threads' parts,
// with the gate closed besides.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "alloc/heap/layout/heap_layout.h"
#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/threads/recent_heap.h"
#include "alloc/heap/threads/thread_ends.h"
#include "alloc/heap/threads/thread_heap.h"
#include "alloc/heap/threads/thread_slots.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/result.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

class Guard;

/// What a heap is told of the range that it lives in.
struct HeapPlace {
  void* base = nullptr;
  uint64_t size_bytes = 0;      ///< a multiple of kSubtreeBytes
  uint64_t capacity_bytes = 0;  ///< the same
  Id id{};
};

/// Threads  any, unless said otherwise.
class Heap final : private ThreadEndListener {
 public:
  /// Asked, with the heap's lock held, for a range of at least so many bytes; answers the new size,
  /// which is durable.
  using Growth = std::function<Result<uint64_t>(uint64_t size_bytes)>;

  /// Writes an empty heap into zeroed memory of `place`, with `root_table_bytes` of zeroes for the
  /// layer above.
  /// Durability  on return.
  static void Format(const HeapPlace& place, uint64_t root_table_bytes, pmem::Persist persist);

  /// Takes up the heap at `place`. `fine`: stores reach the medium one by one, so that the last
  /// user may have left it in disorder; else it was written as a whole.
  /// Cost    independent of the heap's size.
  /// Errors  kCorrupt, kVersion, kNoMemory.
  static Result<std::unique_ptr<Heap>> Open(const HeapPlace& place, pmem::Persist persist,
                                            bool fine, bool read_only);
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  void set_growth(Growth growth) { growth_ = std::move(growth); }

  /// From now on a Guard sees every block that comes and goes. Nobody else is in the heap.
  void BeGuarded();
  /// nullptr: it is not guarded.
  Guard* guard() const { return guard_.get(); }

  /// What TryAllocate() and TryFree() are told from now on, instead of the heap's own address.
  void set_key(const void* key);

  /// As Allocate(size_bytes, 16) of the heap with that key, any address, or nullptr where that
  /// takes longer or fails.
  /// Cost    no lock, and no store to the medium. It calls nothing.
  [[gnu::always_inline]] static void* TryAllocate(const void* key, uint64_t size_bytes) {
    unsigned size_class;
    if (size_bytes <= kSmallBytesMax) [[likely]] {
      size_class = ClassOfSmall(size_bytes);
    } else if (size_bytes <= kBlockBytesMax) {
      size_class = ClassOf(size_bytes);
    } else {
      return nullptr;
    }
    if (!recent_heap.Enter(key)) [[unlikely]]
      return nullptr;
    void* const block = recent_heap.part->TryTake(size_class);
    recent_heap.Leave();
    return block;
  }

  /// Of the class, whatever this thread has at hand; or nullptr where that takes longer or fails.
  /// Cost    no lock; a store to the medium and no flush.
  void* TakeInside(unsigned size_class);

  /// Alignment: a power of two up to 1 GiB. Nothing is flushed but where a slab is made or an
  /// extent crosses a region.
  /// Errors  kNoSpace; kInvalidArgument; kCorrupt; kNoMemory.
  Result<void*> Allocate(uint64_t size_bytes, uint64_t alignment) {
    if (guard_ != nullptr) [[unlikely]]
      return AllocateGuarded(size_bytes, alignment);
    return AllocateUnguarded(size_bytes, alignment);
  }

  /// `block` is the start of a live block, or the process ends; but for a block that was freed
  /// before and is at hand for its thread's next allocations, or that another thread has given away
  /// and not handed over, which only a guard always finds.
  void Free(void* block) {
    if (!FreeInside(block)) FreeSlowly(block);
  }

  /// As Free(), or false where that takes a lock; nothing is done then.
  bool FreeInside(void* block);

  /// As Free() of the heap with that key, any address, or false where that takes longer; nothing is
  /// done then.
  /// Cost    no lock, and one store to the medium at most. It calls nothing.
  [[gnu::always_inline]] static bool TryFree(const void* key, void* block) {
    if (!recent_heap.Enter(key)) [[unlikely]]
      return false;
    Segment* const slab = recent_heap.segments.At(block);
    const bool freed = slab != nullptr && slab->quick == recent_heap.TheSlot() &&
                       ThreadHeap::TryGive(*slab, block, recent_heap);
    recent_heap.Leave();
    return freed;
  }

  /// As realloc(3) of a live block; size_bytes > 0. A large block stays where it is if what lies
  /// behind it is free, or if it is the last one and the range can grow.
  Result<void*> Reallocate(void* block, uint64_t size_bytes);

  /// Of a live block's start, or the process ends.
  uint64_t UsableBytes(const void* block);

  /// Whether `address` lies in a live block.
  /// Errors  kCorrupt, kNoMemory.
  Result<bool> IsLive(const void* address);

  /// Flushes the bytes and the allocation of all blocks that they touch; of the block at `address`
  /// alone where size_bytes is 0. The range lies in the heap.
  /// Errors  kCorrupt, kNoMemory: an allocation cannot be told.
  Status Flush(const void* address, uint64_t size_bytes);
  /// Copies bytes to `to`, which they do not overlap, and is then as Flush() of those.
  Status Copy(void* to, const void* from, uint64_t size_bytes);
  void Fence();

  /// Makes every allocation and free so far durable.
  void FlushFrees();

  /// Flushes and fences every byte that is allocated, and FlushFrees().
  void PersistAll();

  /// Bytes of all live blocks.
  /// Cost  reads every slab's bits.
  Result<uint64_t> LiveBytes();

  /// Threads  any; waits for nobody.
  uint64_t size_bytes() const { return units_.unit_count() * kUnitBytes; }

  /// The range has grown to size_bytes, durably. Lock() is held.
  Status Grow(uint64_t size_bytes) {
    units_.Grow(size_bytes);
    return Code::kOk;
  }
  /// The range is to shrink. StopTheWorld() is held.
  /// Errors  kBusy: as before.
  Status Shrink(uint64_t size_bytes);

  /// Keeps calls out that change the range, the roots, or more than what the caller's thread holds.
  [[nodiscard]] std::unique_lock<Mutex> Lock() { return std::unique_lock(mutex_); }

  /// Keeps all other calls out while it lives.
  class StoppedWorld;
  [[nodiscard]] StoppedWorld StopTheWorld();

  /// FlushFrees(), and marks the heap as left in order. Only the destructor may follow.
  /// Errors  kCorrupt: part of the heap cannot be read; it stays marked as in use.
  Status Close();

  void* root_table() const;
  uint64_t root_table_bytes() const { return header_->root_table_bytes; }
  pmem::Persist persist() const { return persist_; }

  /// Tells every invariant of heap_layout.h that does not hold. Nothing is changed.
  void Validate(const std::function<void(const std::string& message)>& report);

 private:
  static constexpr uint64_t kAllHeads = ~uint64_t{0};

  struct SizeClass {
    SlabList listed;     ///< slabs with room that nobody holds
    UnitIndex cursor{};  ///< slabs of the class before it have been taken up
  };

  /// While it lives the gate is closed. The lock is held.
  class Gate {
   public:
    explicit Gate(Heap* heap);
    ~Gate();
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

   private:
    Heap* heap_;
  };

  Heap(const HeapPlace& place, pmem::Persist persist, bool fine, bool read_only, bool unclean);

  // Without the lock; the guard stands before them, or what it does not know passes it.
  Result<void*> AllocateUnguarded(uint64_t size_bytes, uint64_t alignment);
  void FreeUnguarded(void* block);
  uint64_t UsableUnguarded(const void* block, const char* call);
  Result<void*> AllocateGuarded(uint64_t size_bytes, uint64_t alignment);
  Result<void*> ReallocateGuarded(void* block, uint64_t size_bytes);
  uint64_t UsableGuarded(const void* block, const char* call);
  /// What was freed and is kept by the guard is free in the heap, too.
  void FreeWhatIsKept();

  // Without the lock.
  void BeRecent(ThreadSlot& slot);
  [[gnu::noinline]] void FreeSlowly(void* block);
  [[gnu::noinline]] void FlushMyFrees();
  Status FlushAllocations(const char* begin, const char* end);
  void FlushSegment(Segment& segment, const char* begin, const char* end, ThreadHeap& mine);
  void FlushLater(PendingLines& pending, LineCounter& counter, const void* line);
  void ThreadEnds(uint64_t thread) override;
  bool HasPartOf(uint64_t thread);

  // With the lock held.
  void EmptySlots();
  Result<ThreadHeap*> MyCache();
  void FlushFreesOf(ThreadHeap& mine);
  Result<Segment*> SegmentOf(const void* address);
  Result<Segment*> Adopt(UnitIndex head);
  Segment* Remember(UnitIndex head);
  Segment& LiveSegment(const void* block, const char* call);
  Result<void*> AllocateBlock(ThreadHeap& mine, unsigned size_class, uint64_t alignment);
  Result<void*> AllocateWhateverFits(unsigned size_class, uint64_t alignment);
  Status NoRoomFor(UnitCount units) const;
  Result<void*> AllocateExtent(uint64_t size_bytes, uint64_t alignment);
  Result<UnitIndex> FindUnits(UnitCount count, uint64_t alignment, uint64_t wanted_alignment);
  Result<Segment*> NextRecovered(unsigned size_class, uint64_t heads_max);
  Result<Segment*> MakeSlab(unsigned size_class);
  void ListIfRoom(Segment* segment);
  void ReclaimAbandoned();
  void ReleaseExtent(Segment* segment);
  void ForgetExtent(Segment* segment);
  Status AdoptRecovered(uint64_t heads_max);
  Status ReleaseEmptySlabs(uint64_t heads_max);
  bool GrowFor(UnitCount count, uint64_t alignment);
  void FreeLocked(ThreadHeap& mine, void* block);
  Result<bool> FreeBehind(const Segment& extent, UnitCount count);
  Result<bool> ResizeInPlace(Segment& segment, uint64_t size_bytes);
  Status FlushAllocationsLocked(ThreadHeap& mine, const char* begin, const char* end);
  Status FlushRecovered();

  // With the gate closed besides.
  void FlushAllFrees();
  void ReleaseSlab(Segment* segment);

  // What threads read without the lock; no line of it is written meanwhile.
  alignas(kLineBytes) ptrdiff_t slot_offset_;  ///< SlotOffset()
  const void* key_ = this;
  SegmentTable segments_;
  HeapHeader* header_;
  pmem::Persist persist_;
  bool fine_;
  bool read_only_;

  alignas(kLineBytes) Mutex mutex_{LockRank::kHeap};
  bool unclean_;
  UnitMap units_;
  std::array<SizeClass, kClassCount> classes_{};
  UnitIndex recovered_{};       ///< all that an earlier process left before it is taken up
  bool all_recovered_ = false;  ///< and behind it
  ThreadHeap* thread_heaps_ = nullptr;
  /// For that list, and whose they are; what changes them has both.
  Mutex threads_mutex_{LockRank::kHeapThreads};
  uint32_t closings_ = 0;  ///< nested Gates
  std::unique_ptr<Guard> guard_;
  Growth growth_;
  std::string growth_failure_;  ///< why the range could not grow the last time; empty if it could
};

class Heap::StoppedWorld {
 public:
  explicit StoppedWorld(Heap* heap) : lock_(heap->mutex_), gate_(heap) {}

 private:
  std::unique_lock<Mutex> lock_;
  Gate gate_;
};

inline Heap::StoppedWorld Heap::StopTheWorld() { return StoppedWorld(this); }

}  // namespace morsel::alloc
