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
// the gate to be closed as well.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "alloc/heap/block_calls.h"
#include "alloc/heap/guarded_blocks.h"
#include "alloc/heap/heap_frames.h"
#include "alloc/heap/layout/heap_layout.h"
#include "alloc/heap/range_growth.h"
#include "alloc/heap/segments/central_slabs.h"
#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/threads/free_budget.h"
#include "alloc/heap/threads/recent_heap.h"
#include "alloc/heap/threads/thread_heap.h"
#include "alloc/heap/threads/thread_parts.h"
#include "alloc/heap/threads/thread_state.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/result.h"
#include "os/memory/dense_memory.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// The address range that a heap lives in, as the layer above describes it.
struct HeapPlace {
  void* base = nullptr;
  uint64_t size_bytes = 0;      ///< a multiple of kSubtreeBytes
  uint64_t capacity_bytes = 0;  ///< how large it may grow; also a multiple of kSubtreeBytes
  Id id{};
  /// What LiveBytes() said when the heap was last closed, or when its image was written. Nothing:
  /// it is counted when it is first asked for.
  std::optional<uint64_t> live_bytes = std::nullopt;
  /// Nothing was ever allocated in the heap, so that its memory is zero behind what Format() wrote.
  bool is_new = false;
};

/// What a heap has done since it was opened, for tests of what its calls cost.
struct HeapWork {
  uint64_t gates_closed = 0;
  uint64_t slabs_counted = 0;   ///< slabs whose bits were counted for LiveBytes()
  uint64_t slabs_searched = 0;  ///< slabs that were looked at because there was no room
  uint64_t heads_read = 0;      ///< heads of an earlier process that were looked at
};

/// Threads  any, unless said otherwise.
class Heap final : public os::InDenseMemory {
 public:
  using Growth = RangeGrowth::Enlarge;

  /// Writes an empty heap into `place`, whose memory is zero. The root table, in which the layer
  /// above keeps roots, has `root_table_bytes` of zeroes.
  /// Durability  on return.
  static void Format(const HeapPlace& place, uint64_t root_table_bytes, pmem::Persist persist);

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

  /// Sets what the heap calls when the range is full. nullptr: the range cannot grow.
  /// Threads  no other thread is in the heap.
  void set_growth(Growth growth) { growth_.set_enlarge(std::move(growth)); }

  /// Says that the range is memory that is no medium. nullptr: it is one.
  /// Ownership  the frames outlive the heap.
  /// Threads    no other thread is in the heap.
  void set_frames(HeapFrames* frames) { frames_ = frames; }

  /// From now on a Guard sees every block that is allocated or freed. None was, since the heap was
  /// opened.
  /// Threads  no other thread is in the heap.
  void BeGuarded();
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
  void* TakeInside(unsigned size_class);

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
  bool FreeInside(void* block);

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

  /// Whether `address` lies in a live block. It may overlook that another thread has freed the
  /// block and delays that (see ThreadHeap::FreeRemote()).
  /// Errors  kCorrupt, kNoMemory.
  /// Cost    stops all other threads for a moment, but not if the block is of a slab that the
  ///         calling thread holds, as its latest blocks are, or if it is an extent.
  Result<bool> IsLive(const void* address) { return calls_->IsLive(address, false); }
  /// As IsLive(), but whether a live block begins at `address`.
  Result<bool> IsBlock(const void* address) { return calls_->IsLive(address, true); }

  /// Flushes size_bytes from `address` on, and the allocation of each block that they touch. If
  /// size_bytes is 0, flushes only the allocation of the block that covers `address`. The range
  /// lies in the heap.
  /// Durability  with the calling thread's next Fence().
  /// Errors      kCorrupt, kNoMemory: an allocation cannot be looked up.
  Status Flush(const void* address, uint64_t size_bytes);
  /// Copies size_bytes to `to`, and flushes them and the allocations that they touch, as Flush()
  /// does. The two ranges do not overlap.
  /// Durability  with the calling thread's next Fence().
  /// Errors      as Flush().
  Status Copy(void* to, const void* from, uint64_t size_bytes);
  /// Makes durable what the calling thread has flushed.
  /// Durability  on return.
  void Fence();

  /// Makes every allocation and free of all threads so far durable.
  /// Durability  on return.
  void FlushFrees();

  /// Makes every byte of all slabs and extents durable, and all that FlushFrees() does.
  /// Durability  on return.
  void PersistAll();

  /// How many bytes all live blocks have together.
  /// Errors  kCorrupt, kNoMemory.
  /// Cost    stops all other threads, for a time by their number. The first call reads every slab's
  ///         bits, unless HeapPlace::live_bytes said how many they were.
  Result<uint64_t> LiveBytes();

  /// The size of the range at present.
  /// Threads  any; waits for nobody.
  uint64_t size_bytes() const { return units_.unit_count() * kUnitBytes; }

  /// Takes in the new end of a range that has grown to size_bytes, durably. The caller holds Lock()
  /// or StopTheWorld(). Always succeeds.
  Status Grow(uint64_t size_bytes) {
    units_.Grow(size_bytes);
    return Code::kOk;
  }

  /// Gives up the range from size_bytes on, before the pool takes it back. The caller holds
  /// StopTheWorld().
  /// Durability  on return: after a crash, nothing of the heap lies there.
  /// Errors      kBusy: a block is in use there; kCorrupt, kNoMemory. The size stays as it was.
  Status Shrink(uint64_t size_bytes);

  /// Takes the heap's lock. While it is held, calls wait that change the range or the roots, or
  /// that need more than their own ThreadHeap. The holder may call only those functions of this
  /// class whose contract says that the lock is held, size_bytes(), root_table() and persist().
  [[nodiscard]] std::unique_lock<Mutex> Lock() { return std::unique_lock(mutex_); }

  /// Holds the heap's lock and keeps the gate closed while it lives, so that no other thread is in
  /// the heap. The same limits as for Lock() hold for the thread that has it.
  class StoppedWorld;
  [[nodiscard]] StoppedWorld StopTheWorld();
  /// As StopTheWorld(), but frees first what a guard keeps, so that LiveBytes() does not count it.
  [[nodiscard]] StoppedWorld StopAndRelease();

  // What the functions of the same names do, for who has stopped the world already.

  Result<uint64_t> LiveBytes(const StoppedWorld& stopped);
  void PersistAll(const StoppedWorld& stopped);
  Status Close(const StoppedWorld& stopped);

  /// What IsLive(address) says, for who has stopped the world. Nothing is adopted.
  Result<bool> IsLive(const StoppedWorld& stopped, const void* address);
  using VisitBlock = std::function<bool(char* block, uint64_t bytes)>;
  /// Calls `visit` for each live block, in the order of addresses, until it returns false. `bytes`
  /// is what UsableBytes() says. `visit` calls nothing of the heap that does not take `stopped`.
  /// Errors  kCorrupt, kNoMemory.
  Status ForEachBlock(const StoppedWorld& stopped, const VisitBlock& visit) {
    return ForEachBlockBehind(stopped, 0, visit);
  }
  /// As ForEachBlock(), for the blocks that end behind the first `offset` bytes of the heap.
  Status ForEachBlockBehind(const StoppedWorld& stopped, uint64_t offset, const VisitBlock& visit);

  /// Does what FlushFrees() does, and marks the heap as clean. In a heap that is read-only or under
  /// the snapshot contract, does neither. Only the destructor may follow.
  /// Durability  on return.
  /// Errors      kCorrupt, kNoMemory: part of the heap cannot be read; it stays marked as in use.
  Status Close();

  HeapWork work() {
    const std::lock_guard lock(mutex_);
    work_.gates_closed = parts_.gates_closed();
    return work_;
  }

  /// The header, for the layer above, which changes what belongs to roots.
  HeapHeader* header() const { return header_; }
  bool fine() const { return fine_; }
  bool read_only() const { return read_only_; }
  /// Makes a heap of kHeapVersionOfTables one of kHeapVersion.
  /// Durability  on return.
  /// Threads     one call at a time.
  void LeaveTables();

  /// The root table, for the layer above: root_table_bytes() of them, which may be none.
  void* root_table() const;
  uint64_t root_table_bytes() const { return header_->root_table_bytes; }
  pmem::Persist persist() const { return persist_; }

  /// Checks the invariants of heap_layout.h, and calls `report` for each place where one does not
  /// hold, with the heap's lock held. Changes nothing.
  void Validate(const std::function<void(const std::string& message)>& report);

 private:
  static constexpr uint64_t kAllHeads = ~uint64_t{0};  ///< in place of a limit

  struct SizeClass {
    UnitIndex cursor{};         ///< slabs of the class before this unit have been adopted
    uint64_t shared_bytes = 0;  ///< of blocks of another class that were handed out instead
  };

  Heap(const HeapPlace& place, pmem::Persist persist, bool fine, bool read_only, bool unclean,
       FreeBudget budget);

  /// The heap's calls without a guard.
  class PlainBlocks final : public BlockCalls {
   public:
    explicit PlainBlocks(Heap& heap) : heap_(heap) {}
    Result<void*> Allocate(uint64_t size_bytes, uint64_t alignment) override;
    Result<void*> AllocateZeroed(uint64_t size_bytes) override;
    void Free(void* block) override;
    Result<void*> Reallocate(void* block, uint64_t size_bytes) override;
    uint64_t UsableBytes(const void* block, const char* call) override;
    Result<bool> IsLive(const void* address, bool must_begin) override;
    uint64_t BytesMax() const override { return heap_.header_->capacity_bytes; }
    uint64_t KeptBytesMax() const override;
    void ReleaseKept() override {}

   private:
    Heap& heap_;
  };

  struct Extent {
    char* start;
    char* never_used;  ///< where it begins to be zero; behind its end if that is not known
  };

  // Called without the lock.
  Result<Extent> AllocateWatched(uint64_t size_bytes, uint64_t alignment);
  [[gnu::noinline]] void FlushMyFrees();
  Status FlushAllocations(const char* begin, const char* end);
  void FlushSegment(Segment& segment, const char* begin, const char* end, ThreadHeap& mine);
  void FlushLater(PendingLines& pending, LineCounter& counter, const void* line);
  void Clear(char* begin, char* end);
  void Watch();
  /// Takes the lock for a call that needs the thread's part.
  std::unique_lock<Mutex> LockForMine() {
    (void)MyState();  // while no lock is held
    return Lock();
  }

  // Called with the lock held.
  void FlushFreesOf(ThreadHeap& mine);
  void BoundClearedExtents();
  Result<Segment*> SegmentOf(const void* address);
  Result<Segment*> Adopt(UnitIndex head);
  Segment* Remember(UnitIndex head);
  Segment& LiveSegment(const void* block, const char* call);
  Result<void*> AllocateBlock(ThreadHeap& mine, unsigned size_class, uint64_t alignment);
  Result<void*> AllocateWhateverFits(unsigned size_class, uint64_t alignment);
  void* TakeLarger(ThreadHeap& mine, unsigned size_class, uint64_t alignment);
  Status CheckSize(uint64_t size_bytes) const;
  Result<Extent> AllocateExtent(uint64_t size_bytes, uint64_t alignment);
  Result<UnitIndex> FindUnits(UnitCount count, uint64_t alignment, uint64_t wanted_alignment);
  Result<Segment*> NextRecovered(unsigned size_class, uint64_t heads_max);
  unsigned ClassForFirstBlocks(unsigned size_class);
  Result<Segment*> MakeOrTakeSlab(ThreadHeap& mine, unsigned size_class);
  Result<Segment*> MakeSlab(unsigned size_class);
  void ReleaseExtent(Segment* segment);
  void ForgetExtent(Segment* segment);
  void GiveBackIdle();
  void Expect(const Segment& segment, HeapFrames::Use use);
  Status AdoptRecovered(uint64_t heads_max);
  Status ReleaseEmptySlabs(uint64_t heads_max);
  void FreeLocked(ThreadHeap& mine, void* block);
  Result<bool> FreeBehind(const Segment& extent, UnitCount count);
  static bool StaysInBlock(const Segment& slab, uint64_t size_bytes);
  Result<bool> ResizeInPlace(Segment& segment, uint64_t size_bytes);
  Status FlushAllocationsLocked(ThreadHeap& mine, const char* begin, const char* end);
  Status FlushRecovered();

  // Called with the lock held and the gate closed.
  void FlushAllFrees();
  void CollectLiveChanges();
  Result<uint64_t> CountLiveBytes();
  void ReadOnMedium(UnitIndex head, Segment& segment);
  Status ForEachSegment(UnitIndex from, const std::function<bool(Segment&)>& visit);
  void ReleaseSlab(Segment* segment);
  void ReleaseIfEmpty(Segment* segment);
  void AbandonAll();

  // Threads read these without the lock, so they share no cache line with what is written often.
  alignas(kLineBytes) SegmentTable segments_;
  HeapHeader* header_;
  pmem::Persist persist_;
  BlockCalls* calls_ = &plain_;  ///< what the program's calls go to
  bool fine_;
  bool read_only_;

  alignas(kLineBytes) Mutex mutex_{LockRank::kHeap};  ///< the heap's lock
  bool unclean_;  ///< something that an earlier process left may be visible and not durable
  UnitMap units_;
  std::array<SizeClass, kClassCount> classes_{};
  /// What an earlier process left before this unit is adopted.
  UnitIndex recovered_{};
  bool all_recovered_ = false;  ///< all that it left is adopted
  /// How many more times a block that finds no room in its class may be one of a larger class
  /// before anything else is tried. The range was full lately.
  uint64_t searches_spared_ = 0;
  CentralSlabs central_;
  ThreadParts parts_;
  /// LiveBytes(), without what the ThreadHeaps have not told yet; nothing: not counted yet.
  std::optional<int64_t> live_bytes_;
  HeapWork work_;
  PlainBlocks plain_{*this};
  std::unique_ptr<GuardedBlocks> guarded_;  ///< nullptr: no guard stands in front
  RangeGrowth growth_;
  HeapFrames* frames_ = nullptr;
};

class Heap::StoppedWorld {
 public:
  explicit StoppedWorld(Heap* heap) : lock_(heap->mutex_), gate_(heap->parts_) {}

 private:
  std::unique_lock<Mutex> lock_;
  ThreadParts::Gate gate_;
};

inline Heap::StoppedWorld Heap::StopTheWorld() { return StoppedWorld(this); }
inline Heap::StoppedWorld Heap::StopAndRelease() {
  calls_->ReleaseKept();
  return StoppedWorld(this);
}

}  // namespace morsel::alloc
