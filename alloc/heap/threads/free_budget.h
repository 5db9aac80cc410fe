// How much of a heap a power cut may bring back that was freed before: frees become durable
// later, many with one fence, so that some are not durable yet. This object deals out, among
// threads and others that free, how many bytes of blocks may be in that state.
//
// What is dealt out does not exceed BytesMax(). A thread that has used up its share flushes
// its frees and gets a new one, which depends on how many threads there are then. Only if
// others hold shares from a time when there were fewer, their frees are flushed for it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "alloc/heap/layout/size_class.h"
#include "alloc/heap/threads/magazines.h"
#include "base/check.h"
#include "base/units.h"

namespace morsel::alloc {

/// At most this many frees of a thread are not durable yet, and are undone by a crash. How many
/// bytes they may have is what FreeBudget lends.
inline constexpr uint64_t kFreesUnflushedMax = 65'536;
/// A thread flushes its frees after this many at most. The rest of the bound is for the blocks in
/// its magazines: they are allocated after a crash, and count as freed only when their bits are
/// cleared, which may come on top of all others.
/// Another 64 are for each word of bits in which ThreadHeap::FreeRemote() delays some.
inline constexpr uint64_t kRemotes = ClassOf(2 * kKiB) + 2;  // of each small class, and one more
inline constexpr uint64_t kFreesBeforeFlush =
    kFreesUnflushedMax - 2 * Magazines::BlocksMax() - kRemotes * 64;

/// Threads  the holder of the heap's lock.
class FreeBudget {
 public:
  /// Whether the bound holds for freed extents. For tests of what else flushes them, their heads
  /// may wait without one.
  enum class Extents : uint8_t { kBounded, kWait };
  explicit FreeBudget(Extents extents = Extents::kBounded) : extents_(extents) {}

  /// How many bytes of freed blocks are not durable at most, in a heap of that size.
  static constexpr uint64_t BytesMax(uint64_t heap_bytes) {
    return std::max(heap_bytes / kPartOfHeap, kBytesMin);
  }
  /// The parts of it: of blocks that threads have freed in slabs, of extents, and of what a guard
  /// keeps, if there is one.
  static constexpr uint64_t OfThreads(uint64_t heap_bytes, bool is_guarded) {
    return BytesMax(heap_bytes) - OfExtents(heap_bytes) - (is_guarded ? OfGuard(heap_bytes) : 0);
  }
  static constexpr uint64_t OfExtents(uint64_t heap_bytes) { return BytesMax(heap_bytes) / 4; }
  static constexpr uint64_t OfGuard(uint64_t heap_bytes) { return BytesMax(heap_bytes) / 4; }

  /// A guard keeps some blocks from now on. Nothing is lent.
  void BeGuarded() {
    MORSEL_CHECK(borrowers_ == 0);
    is_guarded_ = true;
  }

  /// Whether so many bytes of freed extents must be made durable now.
  bool IsTooMuchOfExtents(uint64_t bytes, uint64_t heap_bytes) const {
    return extents_ == Extents::kBounded && bytes > OfExtents(heap_bytes);
  }

  /// Lends a thread its share. `before` is what it was lent until now and gives back; none of it is
  /// in use. Returns 0, with nothing lent, if others have too much.
  uint64_t Lend(uint64_t heap_bytes, uint64_t before) {
    const uint64_t calm = before != 0 ? calm_ + 1 : 0;
    if (before != 0) GiveBack(before);
    calm_ = calm;
    const uint64_t share = Share(heap_bytes, borrowers_ + 1);
    if (lent_bytes_ + share > OfThreads(heap_bytes, is_guarded_)) return 0;
    lent_bytes_ += share;
    ++borrowers_;
    return share;
  }
  /// Takes back what a thread was lent.
  void GiveBack(uint64_t bytes) {
    MORSEL_CHECK(borrowers_ > 0 && bytes <= lent_bytes_);
    lent_bytes_ -= bytes;
    --borrowers_;
    calm_ = 0;
  }
  /// Takes back everything and lends each of `borrowers` threads, which are not none, the share
  /// that is returned. None of what was lent before is in use.
  uint64_t LendAnew(uint64_t heap_bytes, uint64_t borrowers) {
    calm_ = 0;
    const uint64_t share = Share(heap_bytes, borrowers);
    borrowers_ = borrowers;
    lent_bytes_ = share * borrowers;
    return share;
  }

 private:
  static constexpr uint64_t kPartOfHeap = 64;
  static constexpr uint64_t kBytesMin = kMiB;

  /// After so many shares were renewed while no thread came or went, none is kept for new ones.
  static constexpr uint64_t kCalm = 16;

  // Where threads come and go, twice as many as there are could have that much, so that others
  // seldom have too much.
  uint64_t Share(uint64_t heap_bytes, uint64_t borrowers) const {
    const uint64_t shares = std::bit_ceil(borrowers) * (calm_ >= kCalm ? 1 : 2);
    return std::max<uint64_t>(OfThreads(heap_bytes, is_guarded_) / shares, 1);
  }

  Extents extents_;
  uint64_t lent_bytes_ = 0;
  uint64_t borrowers_ = 0;
  uint64_t calm_ = 0;  ///< how many shares were renewed since a thread came or went
  bool is_guarded_ = false;
};

}  // namespace morsel::alloc
