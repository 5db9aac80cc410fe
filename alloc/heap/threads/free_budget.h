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
  /// keeps.
  static constexpr uint64_t OfThreads(uint64_t heap_bytes) { return BytesMax(heap_bytes) / 2; }
  static constexpr uint64_t OfExtents(uint64_t heap_bytes) { return BytesMax(heap_bytes) / 4; }
  static constexpr uint64_t OfGuard(uint64_t heap_bytes) { return BytesMax(heap_bytes) / 4; }

  /// Whether so many bytes of freed extents must be made durable now.
  bool IsTooMuchOfExtents(uint64_t bytes, uint64_t heap_bytes) const {
    return extents_ == Extents::kBounded && bytes > OfExtents(heap_bytes);
  }

  /// Lends a thread its share. `before` is what it was lent until now and gives back; none of it is
  /// in use. Returns 0, with nothing lent, if others have too much.
  uint64_t Lend(uint64_t heap_bytes, uint64_t before) {
    if (before != 0) GiveBack(before);
    const uint64_t share = Share(heap_bytes, borrowers_ + 1);
    if (lent_bytes_ + share > OfThreads(heap_bytes)) return 0;
    lent_bytes_ += share;
    ++borrowers_;
    return share;
  }
  /// Takes back what a thread was lent.
  void GiveBack(uint64_t bytes) {
    MORSEL_CHECK(borrowers_ > 0 && bytes <= lent_bytes_);
    lent_bytes_ -= bytes;
    --borrowers_;
  }
  /// Takes back everything and lends each of `borrowers` threads, which are not none, the share
  /// that is returned. None of what was lent before is in use.
  uint64_t LendAnew(uint64_t heap_bytes, uint64_t borrowers) {
    const uint64_t share = Share(heap_bytes, borrowers);
    borrowers_ = borrowers;
    lent_bytes_ = share * borrowers;
    return share;
  }

 private:
  static constexpr uint64_t kPartOfHeap = 64;
  static constexpr uint64_t kBytesMin = kMiB;

  // Twice as many threads as there are could have that much, so that others seldom have too much.
  static constexpr uint64_t Share(uint64_t heap_bytes, uint64_t borrowers) {
    return std::max<uint64_t>(OfThreads(heap_bytes) / (2 * std::bit_ceil(borrowers)), 1);
  }

  Extents extents_;
  uint64_t lent_bytes_ = 0;
  uint64_t borrowers_ = 0;
};

}  // namespace morsel::alloc
