// What one thread holds of a heap: for each size class, magazines of blocks that it hands
// out, and slabs with room from which it refills them. When other threads free blocks of
// its slabs, they push those slabs onto a list. The thread drains this list when it has
// no other slab with room.
//
// A thread that ends gives its slabs with room to the heap. Those without room still have
// its ThreadHeap as their owner, until others free blocks of them.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/segments/slab.h"
#include "alloc/heap/threads/free_budget.h"
#include "alloc/heap/threads/magazines.h"
#include "alloc/heap/threads/pending_lines.h"
#include "alloc/heap/threads/recent_heap.h"
#include "alloc/heap/threads/thread_slots.h"
#include "alloc/heap/threads/thread_state.h"
#include "os/memory/dense_memory.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// Memory   about 2 KiB, and 1 KiB more for each class of which it has had a slab.
/// Threads  the thread that it belongs to, inside its slot or with the heap's lock held; the thread
///          that has closed the gate; the holder of the heap's lock, if its own thread has ended.
class alignas(kLineBytes) ThreadHeap : public os::InDenseMemory {
 public:
  /// `fine`: frees must be flushed from time to time, and the heap lends how many bytes of them may
  /// wait for that. `unclean`: FlushIsDue() after each free until RecoveredIsFlushed(). `common` is
  /// the heap's ThreadHeap that is no thread's and counts as ended; it may be this one.
  /// Ownership  `segments` and `common` outlive this object.
  ThreadHeap(const SegmentTable& segments, ThreadHeap* common, pmem::Persist persist, bool fine,
             bool unclean);
  ~ThreadHeap();
  ThreadHeap(const ThreadHeap&) = delete;
  ThreadHeap& operator=(const ThreadHeap&) = delete;

  /// Hands out a block of the class from its magazine, or returns nullptr if that is empty. Looks
  /// at no slab, and stores nothing on the medium.
  [[gnu::always_inline]] void* TryTake(unsigned size_class) { return ready_[size_class].TryTake(); }

  /// Makes what this object needs to have slabs of the class. Returns false if there is no memory.
  bool Prepare(unsigned size_class);

  /// Hands out a block of the class, or returns nullptr if this object has none. If the thread has
  /// a slot, an empty magazine is refilled.
  void* Take(unsigned size_class);

  /// Frees a block of a slab of `recent`'s ThreadHeap whose `quick` is set. Stores one bit at most.
  /// Returns false, with nothing freed, if the block needs a closer look, or if FlushIsDue() would
  /// hold afterwards.
  [[gnu::always_inline]] static bool TryGive(Segment& segment, void* block,
                                             const RecentHeap& recent) {
    const Slab slab(segment);
    const Segment::Place place = slab.PlaceOf(block);
    if (!place.is_start) [[unlikely]]
      return false;
    const Slab::Found found = slab.Find(place.index);
    if (!found.IsSet()) [[unlikely]]
      return false;
    Magazines& magazines = *segment.magazines;
    if (magazines.TryGive(block)) return true;
    if (magazines.WasGivenLast(block)) [[unlikely]]
      return false;
    ThreadHeap& owner = *recent.part;
    if ((owner.bytes_left_ -= magazines.block_bytes()) < 0) [[unlikely]] {
      recent.part->Uncount(recent.segments, block);  // the closer look counts it again
      return false;
    }
    found.Clear();
    return true;
  }

  /// Clears the bits of all blocks in the magazines, and calls FlushRemote(). Afterwards the only
  /// bits that are set are those of blocks that the program has.
  void PutBack();

  /// Frees a block of an own slab, with one store. Ends the process if the block is not allocated.
  void Give(Segment& segment, void* block);

  /// Frees a block of a slab that another thread holds. The store is delayed, so that it may free
  /// neighbours of the block, too; FlushRemote() makes it at the latest. Ends the process if the
  /// block is not allocated.
  void FreeRemote(Segment& segment, void* block);
  /// As FreeRemote(), if frees of the block's neighbours are delayed already. Stores nothing on the
  /// medium. Returns false, with nothing freed, if none is, if the block needs a closer look, or if
  /// FlushIsDue() would hold afterwards.
  [[gnu::always_inline]] bool TryFreeRemote(Segment& segment, void* block) {
    Remote& remote = remotes_[RemoteOf(segment.size_class)];
    if (remote.segment != &segment) return false;
    const Slab slab(segment);
    const Segment::Place place = slab.PlaceOf(block);
    const uint64_t bit = uint64_t{1} << (place.index % 64);
    const int64_t bytes = segment.block_bytes;
    if (remote.word != place.index / 64 || bytes_left_ < bytes) return false;
    if (!place.is_start || !slab.Bit(place.index) || (remote.bits & bit) != 0) [[unlikely]]
      return false;
    remote.bits |= bit;
    bytes_left_ -= bytes;
    return true;
  }
  /// Stores what FreeRemote() has delayed, and tells the slabs' owners.
  void FlushRemote();

  /// Counts an extent that was freed. UnitMap counts its bytes, and makes it durable before the
  /// units get another head; Durability::FlushFreesOf() does so together with the other frees.
  void FreedExtent() {
    CountFree(kBlockBytesMin);
    smallest_freed_bytes_ = kBlockBytesMin;
    live_change_ += static_cast<int64_t>(kBlockBytesMin);  // it is no block of a slab
  }

  /// How many bytes more the blocks have whose bits are set than they had at the last call, as far
  /// as this object has set and cleared them.
  int64_t TakeLiveChange() {
    SetBytesLeft(bytes_left_);
    return std::exchange(live_change_, 0);
  }

  /// Whether `address` lies in a block of the own slab that is in a magazine, and so is not live
  /// though its bit is set.
  bool HasAtHand(const Segment& segment, const void* address) const;

  /// Whether so many bytes or blocks have been freed that FlushFrees() is due.
  bool FlushIsDue() { return bytes_left_ < 0 && !MayFreeMore(); }

  /// How many bytes of frees the heap has lent this object; 0: none yet, or they were taken back.
  uint64_t lent_bytes() const { return static_cast<uint64_t>(lent_bytes_); }
  /// From now on it is lent so many. All its frees are durable.
  void Borrow(uint64_t bytes) {
    lent_bytes_ = static_cast<int64_t>(bytes);
    BeginCounting();
  }

  /// Makes the frees of this thread durable, those of extents excepted.
  /// Durability  on return.
  void FlushFrees();
  /// Forgets these frees, because the caller has made them durable.
  void FreesFlushed();
  /// From now on FlushIsDue() as seldom as in a heap that was closed in order.
  void RecoveredIsFlushed() { unclean_ = false; }

  /// Becomes the owner of a slab that has no owner, or whose owner has ended, and that is in no
  /// list. `has_room`: it joins the slabs with room. Prepare() was called for the class.
  void Lease(Segment* segment, bool has_room);

  /// Frees what other threads have freed of this one's slabs; of the common one's, what they have
  /// freed of slabs whose owners have ended, which become its own.
  void DrainRemote() {
    if (HasRemote()) Drain(freed_.exchange(nullptr));
  }
  /// Whether DrainRemote() would find something.
  /// Threads  any.
  bool HasRemote() const {
    const Segment* const first = freed_.load(std::memory_order_relaxed);
    return first != nullptr && first != Closed();
  }

  /// The slabs of which blocks were freed while this object was their owner.
  TouchedSlabs& touched() { return touched_; }
  /// Gives up an own slab with room. The gate is closed.
  void AbandonSlab(Segment* segment);

  /// Gives up a slab of the class of which at most half is in use, if there is one among the first
  /// few; otherwise returns nullptr. The gate is closed.
  /// Durability  of this thread's frees, if it gives up a slab: on return.
  Segment* LoseHalfEmpty(unsigned size_class);
  /// Whether LoseHalfEmpty() has given up a slab of the class since the last Abandon().
  bool HasLost(unsigned size_class) const {
    return caches_[size_class] != nullptr && caches_[size_class]->has_lost;
  }

  /// The thread has ended. What is in the magazines is freed. Each slab with room becomes the
  /// common one's, and `take_over(segment)` is called for it.
  /// Durability  of this thread's frees: on return.
  template <class TakeOver>
  void End(TakeOver take_over) {
    PutBack();
    Drain(freed_.exchange(Closed()));
    Abandon(take_over);
  }
  /// Belongs to a new thread.
  void Begin() { freed_.store(nullptr); }
  /// Whether the thread has ended.
  /// Threads  any; it stays so as long as the heap's lock is held.
  bool ended() const { return this == common_ || freed_.load() == Closed(); }

  /// Gives each slab with room to the common one, and calls `take_over(segment)` for it.
  /// Durability  of this thread's frees: on return.
  template <class TakeOver>
  void Abandon(TakeOver take_over) {
    FlushFrees();  // the next owners of the slabs do not flush what was freed before
    for (ClassCache* const cache : caches_) {
      if (cache == nullptr) continue;
      Leave(*cache, /*swept=*/false);
      cache->has_lost = false;
      while (Segment* const segment = cache->listed.Pop()) {
        Disown(segment, common_);
        take_over(segment);
      }
    }
  }

  /// What the thread's next fence must make durable.
  PendingLines& pending() { return pending_; }

 private:
  /// The memory of its magazines follows it.
  struct alignas(kLineBytes) ClassCache {
    ClassCache(ReadyBlocks& ready, void** words, unsigned size_class)
        : magazines(ready, words, size_class) {}

    Magazines magazines;
    static size_t BytesFor(unsigned size_class) {
      return sizeof(ClassCache) + Magazines::Words(size_class) * sizeof(void*);
    }

    Segment* segment = nullptr;  ///< the slab that refills the magazines; not in `listed`
    uint64_t next_word = 0;      ///< the word of `segment` to take from next
    SlabList listed;             ///< other slabs with room
    bool has_lost = false;       ///< see HasLost()
  };

  /// What FreeRemote() has delayed: blocks of one word of one slab; nullptr: nothing.
  struct Remote {
    Segment* segment = nullptr;
    uint64_t word = 0;
    uint64_t bits = 0;
  };
  static_assert(kRemotes <= 64);
  /// Each class of small blocks has its own: who frees another thread's blocks mostly meets
  /// neighbours of each size in turn. Large blocks have one, so that few bytes are delayed.
  static constexpr size_t RemoteOf(unsigned size_class) {
    return std::min<size_t>(size_class, kRemotes - 1);
  }

  /// Lent where frees need no flush.
  static constexpr int64_t kUnbounded = std::numeric_limits<int64_t>::max();
  static constexpr uint64_t kNoneFreed = std::numeric_limits<uint64_t>::max();
  static constexpr size_t kOthersMin = 32;
  static constexpr size_t kOthersMax = 4096;
  static constexpr size_t kRecentMax = 64;

  void* Refill(ClassCache& cache, uint64_t count);
  void* TakeFrom(ClassCache& cache, uint64_t count);
  void CountFree(uint64_t bytes) { bytes_left_ -= static_cast<int64_t>(bytes); }
  /// Takes back what was counted for a block that was not freed after all. It looks everything up
  /// again, because free() has no register to keep it in.
  [[gnu::always_inline]] void Uncount(const SegmentView& segments, const void* block) {
    asm("" : "+r"(block));
    bytes_left_ += static_cast<int64_t>(segments.At(block)->block_bytes);
  }
  /// What was freed since the last call has been counted in bytes_left_ only.
  void SetBytesLeft(int64_t bytes) {
    live_change_ -= bytes_left_before_ - bytes_left_;
    bytes_left_ = bytes_left_before_ = bytes;
  }
  /// All frees are durable.
  void BeginCounting();
  bool MayFreeMore();
  /// A block of that size was freed that is the first of its slab since the last flush.
  void NoteSize(uint64_t block_bytes) {
    smallest_freed_bytes_ = std::min(smallest_freed_bytes_, block_bytes);
  }
  [[gnu::noinline]] void Touched(Segment& segment);
  void NoteUnflushed(Segment* segment);
  void List(ClassCache& cache, Segment* segment);
  void Leave(ClassCache& cache, bool swept);
  static void Disown(Segment* segment, ThreadHeap* next_owner) {
    segment->flags &= static_cast<uint8_t>(~Segment::kAtHand);
    segment->quick = nullptr;
    segment->magazines = nullptr;
    segment->owner.store(next_owner, std::memory_order_release);
  }
  void FlushRemote(Remote& remote);
  bool PushFreed(Segment* segment);
  void NotifyOwner(Segment* segment);
  void Drain(Segment* freed);
  /// In place of the first of a list that takes no more.
  static Segment* Closed() { return reinterpret_cast<Segment*>(uintptr_t{1}); }
  void NoteOther(Segment* segment);
  bool GrowOthers();
  uint16_t FlushFreed(Segment& segment);
  void PersistOthers();
  void FlushOthers();
  void ForgetOthers();

  std::array<ReadyBlocks, kClassCount> ready_;  // first: malloc() needs nothing else of this
  std::array<ClassCache*, kClassCount> caches_{};

 public:
  // Threads  the holder of the heap's lock.

  /// Of the thread that this belongs to; nullptr: that thread has ended.
  ThreadState* state = nullptr;
  /// The slot of that thread, if it was filled with this; it may be empty again. nullptr: it was
  /// not.
  ThreadSlot* slot = nullptr;
  /// Whether the heap's list of those in use has this.
  bool is_in_use = false;
  ThreadHeap* next_in_use = nullptr;
  ThreadHeap* next = nullptr;        ///< the next one of the heap
  ThreadHeap* next_ended = nullptr;  ///< the next one of which the thread has ended, too

 private:
  const SegmentTable& segments_;
  ThreadHeap* common_;
  pmem::Persist persist_;
  bool fine_;
  bool unclean_;
  int64_t lent_bytes_;
  int64_t bytes_left_;  ///< how many may be freed before MayFreeMore() is asked
  int64_t
      bytes_counted_from_;  ///< what bytes_left_ would be if none had been freed since the flush
  uint64_t smallest_freed_bytes_ = kNoneFreed;  ///< of the blocks freed since then; never more
  int64_t bytes_left_before_;                   ///< as it was last set, before frees were counted
  int64_t live_change_ = 0;       ///< see TakeLiveChange(); without what bytes_left_ has counted
  Segment* unflushed_ = nullptr;  ///< own slabs with frees to flush
  TouchedSlabs touched_;
  // Slabs of other threads of which this one has freed blocks that are to be flushed. A slab may be
  // in the array more than once. No slab is released while it is there or in `unflushed_`.
  std::unique_ptr<Segment*[]> others_;
  size_t other_places_ = 0;
  size_t other_count_ = 0;
  std::array<Segment*, kRecentMax> recent_{};  ///< by hash: some of those in `others_`
  std::array<Remote, kRemotes> remotes_{};
  uint64_t remotes_used_ = 0;  ///< which of them delay something
  PendingLines pending_;

  /// The slabs of this thread of which others have freed blocks. A slab that had this owner before
  /// may be here, too. Closed(): the thread has ended.
  alignas(kLineBytes) std::atomic<Segment*> freed_{nullptr};
};

}  // namespace morsel::alloc
