// What a process remembers of a slab or an extent. Nothing here is on the medium.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "alloc/heap/layout/heap_layout.h"
#include "alloc/heap/segments/line_counter.h"

namespace morsel::alloc {

class Magazines;
struct ThreadSlot;
class ThreadHeap;

/// What one thread writes while others may read it, each value by itself.
template <class T>
class Shared {
 public:
  constexpr Shared(T value = T()) : value_(value) {}                     // NOLINT: as the value
  operator T() const { return value_.load(std::memory_order_relaxed); }  // NOLINT
  Shared& operator=(T value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }

 private:
  std::atomic<T> value_;
};

/// Made at the segment's first touch. It stays until the heap is closed, for the next one that
/// begins at the same unit: threads may still hold its counters.
///
/// [RUN-1] A slab has at most one holder: the thread whose heap `owner` is; the heap's lock where
///         it is null or a heap whose thread has ended; or whoever has closed the gate.
/// [RUN-2] Only the holder changes the slab's bits, its flags and the lists that it is in.
/// [RUN-3] A slab with room is listed, or in its class cache, or something was freed of it by
/// others that
///         the holder has not looked at.
struct Segment {
  // What free() needs, on one line.
  char* start = nullptr;
  Shared<BitPair*> pairs;       ///< on the medium
  Shared<uint64_t> reciprocal;  ///< of block_bytes
  Shared<uint32_t> block_bytes;
  Shared<uint16_t> first_block;
  Shared<uint16_t> end_block;
  Shared<uint8_t> size_class;
  uint8_t flags = 0;
  std::atomic<ThreadHeap*> owner{nullptr};
  /// The slot of the owner's thread, while free() may store a bit and nothing else: the slab is at
  /// hand and noted, so that what is freed will be found again, and settled. Else nullptr.
  Shared<ThreadSlot*> quick = nullptr;
  Magazines* magazines = nullptr;  ///< the owner's, of the class; nullptr while there is none

  alignas(kLineBytes) UnitIndex head{};
  Shared<UnitKind> kind = UnitKind::kNone;  ///< kNone: nothing lives here now
  Shared<uint64_t> units = 0;
  LineCounter word;         ///< of an extent's head; a slab's is durable before its first block
  Segment* next = nullptr;  ///< in the list of slabs with room
  Segment* previous = nullptr;
  Segment* next_unflushed = nullptr;

  alignas(kLineBytes) std::atomic<bool> has_freed{false};  ///< it is in its owner's list of such
  Segment* next_freed = nullptr;
  Segment* next_remembered = nullptr;

  std::array<LineCounter, kBitLinesMax> lines;

  static constexpr uint8_t kAtHand = 1;
  static constexpr uint8_t kUnflushed = 2;  ///< in its owner's list of such
  static constexpr uint8_t kFreed = 4;      ///< something was, since its class cache began with it
  static constexpr uint8_t kEntered =
      8;  ///< an extent that is in the SegmentTable, part of it or all
  bool Has(uint8_t flag) const { return (flags & flag) != 0; }

  /// `head` and `start` are set.
  void BecomeSlab(unsigned new_class) {
    size_class = static_cast<uint8_t>(new_class);
    pairs = reinterpret_cast<BitPair*>(start + BitPairsOffset(new_class, head));
    block_bytes = static_cast<uint32_t>(BlockBytes(new_class));
    reciprocal = ReciprocalOf(BlockBytes(new_class));
    first_block = static_cast<uint16_t>(FirstBlock(new_class, head));
    end_block = static_cast<uint16_t>(EndBlock(new_class));
    units = SlabUnits(new_class).value();
  }

  bool IsSlab() const { return kind == UnitKind::kSlab; }
  uint64_t capacity() const { return static_cast<uint64_t>(end_block - first_block); }
  /// Of a block of the slab, or of the extent.
  uint64_t UsableBytes() const { return IsSlab() ? uint64_t{block_bytes} : units * kUnitBytes; }
  const char* end() const { return start + units * kUnitBytes; }

  /// The block that holds the byte at `offset` from the start.
  struct Place {
    uint64_t index;
    bool is_start;
  };
  Place PlaceOf(uint64_t offset) const {
    const uint64_t factor = reciprocal;
    const WideProduct product = WideProduct{offset} * factor;
    return {static_cast<uint64_t>(product >> 64), static_cast<uint64_t>(product) < factor};
  }

  // A product with the reciprocal has the quotient in its upper half, and the lower half is below
  // the reciprocal iff nothing is left over (Lemire, Kaser, Kurz 2019). Exact for sizes up to 2^16
  // and offsets in a slab, below 2^22: their product is far below 2^64.
  __extension__ using WideProduct = unsigned __int128;
  static constexpr uint64_t ReciprocalOf(uint64_t bytes) { return ~uint64_t{0} / bytes + 1; }
};

/// Slabs with room, in the order in which they were listed.
class SlabList {
 public:
  Segment* first() const { return first_; }
  void Append(Segment* segment) {
    segment->next = nullptr;
    segment->previous = last_;
    (last_ != nullptr ? last_->next : first_) = segment;
    last_ = segment;
  }
  void Remove(Segment* segment) {
    (segment->previous != nullptr ? segment->previous->next : first_) = segment->next;
    (segment->next != nullptr ? segment->next->previous : last_) = segment->previous;
  }
  Segment* Pop() {
    Segment* const segment = first_;
    if (segment != nullptr) Remove(segment);
    return segment;
  }
  /// Of the first few the one that lies lowest. What is passed over stays where it is and is passed
  /// over again while something lower is there, until it has no blocks and can be given back.
  Segment* PopLow() {
    Segment* low = first_;
    Segment* segment = first_;
    for (int i = 0; i < kLooks && segment != nullptr; ++i, segment = segment->next) {
      if (segment->start < low->start) low = segment;
    }
    if (low != nullptr) Remove(low);
    return low;
  }

 private:
  static constexpr int kLooks = 4;

  Segment* first_ = nullptr;
  Segment* last_ = nullptr;
};

}  // namespace morsel::alloc
