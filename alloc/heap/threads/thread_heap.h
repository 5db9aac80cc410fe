// What one thread holds of a heap: for each class magazines of blocks that it hands
// out, and slabs with room behind that. What others free of its slabs they push
// onto a list; it takes that back when it has nothing else left.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/segments/slab.h"
#include "alloc/heap/threads/magazines.h"
#include "alloc/heap/threads/pending_lines.h"
#include "alloc/heap/threads/recent_heap.h"
#include "alloc/heap/threads/thread_slots.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// So many frees of a thread, at most, are not durable yet.
inline constexpr uint64_t kFreesUnflushedMax = 65'536;
/// So many are made before they are settled: what is at hand is allocated after a crash, and
/// counted once its bits are cleared, which may come on top of the rest; at its end the count may
/// err by a few.
inline constexpr uint64_t kFreesBeforeFlush = kFreesUnflushedMax - 2 * Magazines::BlocksMax() - 64;

/// Threads  the one whose it is, inside the gate or with the heap's lock held; whoever has closed
///          the gate; the lock's holder, if its thread has ended.
class alignas(kLineBytes) ThreadHeap {
 public:
  /// `fine`: what is freed is settled from time to time. `frees_first`: so many frees, and
  /// FlushIsDue().
  ThreadHeap(const SegmentTable& segments, pmem::Persist persist, bool fine, uint64_t frees_first);
  ThreadHeap(const ThreadHeap&) = delete;
  ThreadHeap& operator=(const ThreadHeap&) = delete;

  /// A block of the class that takes no look at slabs, or nullptr. Stores nothing on the medium.
  [[gnu::always_inline]] void* TryTake(unsigned size_class) {
    return caches_[size_class].magazines.TryTake();
  }

  /// A block of the class, or nullptr if none is at hand. Where the thread has a slot, more of them
  /// are made ready.
  void* Take(unsigned size_class);

  /// Frees a block of an own slab that is noted. Stores one bit at most, and counts that in `slot`.
  /// False, and nothing is done, if this takes a closer look.
  [[gnu::always_inline]] static bool TryGive(Segment& segment, void* block,
                                             const RecentHeap& recent) {
    const Slab slab(segment);
    const Segment::Place place = slab.PlaceOf(block);
    if (!place.is_start) [[unlikely]]
      return false;
    const Slab::Found found = slab.Find(place.index);
    if (!found.IsSet()) [[unlikely]]
      return false;
    if (segment.magazines->TryGive(block)) return true;
    if (segment.magazines->WasGivenLast(block)) [[unlikely]]
      return false;
    if (--recent.TheSlot()->frees_left < 0) [[unlikely]]
      return false;
    found.Clear();
    return true;
  }

  /// Frees what is at hand, and stores what was given away: no bit is set that need not be.
  void PutBack();

  /// Frees a block of an own slab. Stores one bit at most. Ends the process if there is none.
  void Give(Segment& segment, void* block);

  /// Frees a block of a slab that belongs to another: its bit is stored with others of its word,
  /// by FlushRemote() at the latest.
  void FreeRemote(Segment& segment, void* block);
  /// Stores what FreeRemote() has left.
  void FlushRemote();

  /// An extent was freed: its head is settled before its units are anything else, and with the
  /// rest.
  void FreedExtent() { CountFree(); }

  /// Whether so much has been freed that FlushFrees() is due.
  bool FlushIsDue() const { return frees_left_ == 0; }

  /// How many blocks may be freed without a word to this; they count as freed. Not all of what
  /// is left, for nobody hears of it where the slot that they are counted in is another heap's.
  /// FlushIsDue() is false.
  uint64_t FreesForSlot() {
    const uint64_t part = frees_left_ > kPartKept ? frees_left_ - frees_left_ / kPartKept : 1;
    if (frees_left_ > part) frees_left_ -= part;
    return part;
  }

  /// Makes the frees of this thread durable.
  void FlushFrees();
  /// Somebody else has: forgets them.
  void FreesFlushed();

  /// Becomes the holder of a slab that nobody holds and that is in no list.
  void Lease(Segment* segment, bool has_room);

  /// Frees what others have freed. False if that is nothing.
  bool DrainRemote();
  /// Whether it would find anything.
  /// Threads  any.
  bool HasRemote() const { return freed_.load(std::memory_order_relaxed) != nullptr; }

  /// Calls `release(segment)` for each slab without blocks, and forgets it.
  template <class Release>
  void ReleaseEmpty(Release release) {
    for (ClassCache& cache : caches_) {
      LeaveIfEmpty(cache);
      for (Segment *segment = cache.listed.first(), *next; segment != nullptr; segment = next) {
        next = segment->next;
        if (!Slab(*segment).IsEmpty()) continue;
        cache.listed.Remove(segment);
        Disown(segment);
        release(segment);
      }
    }
  }

  /// Gives up every slab with room: `take_over(segment)` is told of each. The gate is closed.
  template <class TakeOver>
  void Abandon(TakeOver take_over) {
    DrainRemote();
    FlushFrees();  // whose the slabs will be settles nothing that was freed of them before
    for (ClassCache& cache : caches_) {
      Leave(cache, /*swept=*/false);
      while (Segment* const segment = cache.listed.Pop()) {
        Disown(segment);
        take_over(segment);
      }
    }
  }

  PendingLines& pending() { return pending_; }

 private:
  struct alignas(kLineBytes) ClassCache {
    Magazines magazines;
    Segment* segment = nullptr;  ///< where more come from; not listed
    SlabList listed;             ///< others with room
    uint64_t next_word = 0;      ///< of `segment`
  };

  static constexpr uint64_t kWords = [] {
    uint64_t sum = 0;
    for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
      sum += Magazines::Words(size_class);
    }
    return sum;
  }();
  static constexpr uint64_t kNever = ~uint64_t{0};
  static constexpr uint64_t kPartKept = 4;
  static constexpr size_t kOthersMax = 4096;
  static constexpr size_t kRecentMax = 64;

  void* Refill(ClassCache& cache, uint64_t count);
  void* TakeFrom(ClassCache& cache, uint64_t count);
  void CountFree(uint64_t count = 1) { frees_left_ -= std::min(count, frees_left_); }
  [[gnu::noinline]] void Touched(Segment& segment);
  void NoteUnflushed(Segment* segment);
  void List(ClassCache& cache, Segment* segment);
  void Leave(ClassCache& cache, bool swept);
  void LeaveIfEmpty(ClassCache& cache);
  static void Disown(Segment* segment) {
    segment->flags &= static_cast<uint8_t>(~Segment::kAtHand);
    segment->quick = nullptr;
    segment->magazines = nullptr;
    segment->owner.store(nullptr, std::memory_order_release);
  }
  void FreedOf(Segment* segment);
  void NoteOther(Segment* segment);
  void FlushFreed(Segment& segment);
  void FlushOthers();
  void ForgetOthers();
  template <class What>
  static void ForEachLineWithRoom(Segment& segment, What what);

  std::array<ClassCache, kClassCount> caches_;  // first, so that a class is found by a shift

 public:
  /// The thread whose it is; 0: it has ended. Of the lock's holder.
  uint64_t thread = 0;
  /// The thread's, if it was filled once: it may be another heap's by now. Of the lock's holder.
  ThreadSlot* slot = nullptr;
  /// The thread's, as long as `slot` is set.
  RecentHeap* recent = nullptr;
  /// The heap's next one. Of the lock's holder.
  ThreadHeap* next = nullptr;

 private:
  const SegmentTable& segments_;
  pmem::Persist persist_;
  bool fine_;
  uint64_t frees_left_;
  Segment* unflushed_ = nullptr;  ///< own slabs in which something was freed
  // Slabs of others, of which this thread has freed something. One may be there more than once. No
  // slab is released while it is in this or in unflushed_.
  std::array<Segment*, kOthersMax> others_;
  size_t other_count_ = 0;
  std::array<Segment*, kRecentMax> recent_{};  ///< by hash: these are there
  // What was given away and is not stored yet: blocks of one word.
  Segment* remote_segment_ = nullptr;
  uint64_t remote_word_ = 0;
  uint64_t remote_bits_ = 0;
  PendingLines pending_;
  std::array<void*, kWords> words_{};  ///< the magazines'

  /// Slabs of which others have freed something.
  alignas(kLineBytes) std::atomic<Segment*> freed_{nullptr};
};

}  // namespace morsel::alloc
