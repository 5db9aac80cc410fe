// What one thread holds of a heap: for each class a word of free blocks that it
// hands out from, and slabs with room behind that. What others free of its slabs
// they push onto a list; it takes that back when it has nothing else left.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "alloc/block_cache.h"
#include "alloc/pending_lines.h"
#include "alloc/run.h"
#include "alloc/slab.h"
#include "alloc/slab_table.h"
#include "alloc/thread_slots.h"
#include "pmem/persist.h"

namespace morsel::alloc {

/// So many frees of a thread, at most, are not durable yet.
inline constexpr uint64_t kFreesUnsettledMax = 65'536;
/// So many are made before they are settled: what is cached is not counted until its bits are
/// cleared, which may come on top of the rest; at its end the count may err by a few.
inline constexpr uint64_t kFreesBeforeSettle =
    kFreesUnsettledMax - 2 * BlockCache::BlocksMax() - 64;

/// Threads  the one whose it is, inside the gate or with the heap's lock held; whoever has closed
///          the gate; the lock's holder, if its thread has ended. GiveAway(): see there.
class alignas(kLineBytes) ThreadHeap {
 public:
  /// `fine`: what is freed is settled from time to time. `frees_first`: so many frees, and
  /// SettleIsDue().
  ThreadHeap(const SlabTable& slabs, pmem::Persist persist, bool fine, uint64_t frees_first)
      : slabs_(slabs), persist_(persist), fine_(fine), frees_left_(fine ? frees_first : kNever) {}
  ThreadHeap(const ThreadHeap&) = delete;
  ThreadHeap& operator=(const ThreadHeap&) = delete;

  /// A block of the class that takes no look at slabs, or nullptr. Stores one bit at most.
  [[gnu::always_inline]] void* TryTake(unsigned size_class) {
    if (cache_.MayTake(size_class)) [[likely]] return cache_.Take(size_class);
    FreeWord& reserved = bins_[size_class].reserved;
    if (reserved.mask == 0) [[unlikely]] return nullptr;
    return reserved.Take();
  }

  /// A block of the class, or nullptr if none is at hand. Stores one bit at most.
  void* Take(unsigned size_class) {
    if (cache_.MayTake(size_class)) return cache_.Take(size_class);
    Bin& bin = bins_[size_class];
    if (bin.reserved.mask == 0 && !Refill(bin)) return nullptr;
    return bin.reserved.Take();
  }

  /// Frees a block of an own slab that is open. Stores one bit at most, and counts that in `slot`.
  /// False, and nothing is done, if this takes a closer look.
  [[gnu::always_inline]] bool TryGive(Run& run, void* block, ThreadSlot& slot) {
    Slab slab(run);
    const Slab::Found found = slab.Find(block);
    if (!cache_.HasRoom(run.size_class)) {
      if (slot.frees_left == 0 || !slab.Give(found)) [[unlikely]] return false;
      --slot.frees_left;
      return true;
    }
    uint64_t* const first_word = static_cast<uint64_t*>(block);
    const uint64_t mark = MarkOf(block);
    // Who frees it again while it is cached finds the mark.
    if (!found.IsLive() || *first_word == mark) [[unlikely]] return false;
    *first_word = mark;
    cache_.Give(run.size_class, block);
    return true;
  }

  /// Frees what is cached: no bit is set that need not be.
  void EmptyCache();

  /// Frees a block of an own slab. Stores one bit. Ends the process if there is none.
  void Give(Run& run, void* block);

  /// Frees a block of a slab that belongs to `owner`.
  void GiveAway(Run& run, void* block, ThreadHeap& owner);

  /// An extent was freed: its head is settled before its units are anything else, and with the rest.
  void FreedExtent() { CountFree(); }

  /// Whether so much has been freed that Settle() is due.
  bool SettleIsDue() const { return frees_left_ == 0; }

  /// How many blocks may be freed without a word to this; they count as freed. Not all of what
  /// is left, for nobody hears of it where the slot that they are counted in is another heap's.
  /// SettleIsDue() is false.
  uint64_t FreesForSlot() {
    const uint64_t part = frees_left_ > kPartKept ? frees_left_ - frees_left_ / kPartKept : 1;
    if (frees_left_ > part) frees_left_ -= part;
    return part;
  }

  /// Makes the frees of this thread durable.
  void Settle();
  /// Somebody else has: forgets them.
  void Settled();

  /// Becomes the holder of a slab that nobody holds and that is in no list.
  void Lease(Run* run, bool has_room);

  /// Frees what others have freed. False if that is nothing.
  bool TakeBack();
  /// Whether it would find anything. Threads  any.
  bool MayTakeBack() const { return freed_.load(std::memory_order_relaxed) != nullptr; }

  /// Calls `release(run)` for each slab without blocks, and forgets it.
  template <class Release>
  void ReleaseEmpty(Release release) {
    for (Bin& bin : bins_) {
      LeaveIfEmpty(bin);
      for (Run *run = bin.listed.first(), *next; run != nullptr; run = next) {
        next = run->next;
        if (!Slab(*run).IsEmpty()) continue;
        bin.listed.Remove(run);
        Disown(run);
        release(run);
      }
    }
  }

  /// Gives up every slab with room: `take_over(run)` is told of each. The gate is closed.
  template <class TakeOver>
  void GiveUp(TakeOver take_over) {
    TakeBack();
    for (Bin& bin : bins_) {
      Leave(bin, /*swept=*/false);
      while (Run* const run = bin.listed.Pop()) {
        Disown(run);
        take_over(run);
      }
    }
  }

  /// Nothing is handed out from the line of the own slab, and nothing freed of the slab, until the
  /// next call needs to: so that the line can become durable.
  void Park(Run& slab, const LineCounter& line) {
    slab.Close();
    Bin& bin = bins_[slab.size_class];
    if (bin.reserved.line == &line) ParkBin(bin);
  }
  /// Likewise all that it hands out from.
  void ParkAll() {
    for (Bin& bin : bins_) ParkBin(bin);
  }

  PendingLines& pending() { return pending_; }

  /// The thread whose it is; 0: it has ended. Of the lock's holder.
  uint64_t thread = 0;
  /// The thread's, if it was filled once: it may be another heap's by now. Of the lock's holder.
  ThreadSlot* slot = nullptr;
  /// The heap's next one. Of the lock's holder.
  ThreadHeap* next = nullptr;

 private:
  struct Bin {
    FreeWord reserved;
    Run* run = nullptr;  ///< whose word that is; not listed
    SlabList listed;     ///< others with room
  };

  static constexpr uint64_t kNever = ~uint64_t{0};
  static constexpr uint64_t kPartKept = 4;
  static constexpr size_t kOthersMax = 1024;
  static constexpr size_t kRecentMax = 64;

  [[gnu::noinline]] bool Refill(Bin& bin);
  void CountFree() {
    if (frees_left_ > 0) --frees_left_;
  }
  void GiveFolded(Run& run, void* block);
  [[gnu::noinline]] void Touched(Run& run);
  void Unsettled(Run* run);
  void List(Bin& bin, Run* run);
  void Leave(Bin& bin, bool swept);
  void ParkBin(Bin& bin);
  void LeaveIfEmpty(Bin& bin);
  static void Disown(Run* run) {
    run->flags &= static_cast<uint8_t>(~Run::kAtHand);
    run->Close();
    run->reserved = nullptr;
    run->owner.store(nullptr, std::memory_order_release);
  }
  void FreedOf(Run* run);

  static uint64_t MarkOf(const void* block) {
    return reinterpret_cast<uintptr_t>(block) ^ 0x8d26'f3b1'4ac9'e75d;
  }

  BlockCache cache_;
  std::array<Bin, kClassCount> bins_;
  const SlabTable& slabs_;
  pmem::Persist persist_;
  bool fine_;
  uint64_t frees_left_;
  Run* unsettled_ = nullptr;  ///< own slabs in which something was freed
  // Slabs of others, of which this thread has freed something. One may be there twice. No slab is
  // released while it is in this or in unsettled_.
  std::array<Run*, kOthersMax> others_;
  size_t other_count_ = 0;
  std::array<Run*, kRecentMax> recent_{};  ///< by hash: these are there
  PendingLines pending_;

  /// Slabs of which others have freed something.
  alignas(kLineBytes) std::atomic<Run*> freed_{nullptr};
};

}  // namespace morsel::alloc
