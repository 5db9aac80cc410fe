// What a process remembers of a slab or an extent. None of it is on the medium.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

#include "alloc/heap/layout/heap_layout.h"
#include "alloc/heap/segments/line_counter.h"

namespace morsel::alloc {

class Magazines;
struct ThreadSlot;
class ThreadHeap;

/// A value that one thread writes while others may read it. Each access is atomic by itself; none
/// orders others (relaxed).
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

/// Made when the segment is first touched. It stays until the heap is closed, and describes each
/// later segment that begins at the same unit, because threads may still hold its counters.
///
/// [RUN-1] A slab has at most one holder. That is the thread of the ThreadHeap that `owner` points
///         to. If `owner` is null, or its thread has ended, it is the thread that holds the heap's
///         lock. While the gate is closed, it is the thread that closed it.
/// [RUN-2] Only the holder changes the slab's bits, its flags, and the lists that contain it.
/// [RUN-3] A slab with room is in a list, or it is the `segment` of its class cache, or other
///         threads have freed blocks of it that the holder has not looked at yet.
struct Segment {
  // free() needs these, so they share one cache line.
  char* start = nullptr;
  Shared<BitPair*> pairs;       ///< on the medium
  Shared<uint64_t> reciprocal;  ///< of block_bytes, see ReciprocalOf()
  Shared<uint32_t> block_bytes;
  Shared<uint16_t> first_block;
  Shared<uint16_t> end_block;
  Shared<uint8_t> size_class;
  uint8_t flags = 0;
  uint16_t flushing = 0;  ///< bit i: FlushFrees() has flushed line i, and will count it as durable
  std::atomic<ThreadHeap*> owner{nullptr};
  /// The slot of the owner's thread while a free() by that thread need only clear a bit; otherwise
  /// nullptr. It is set only while the slab has kAtHand, so that the freed block will be found
  /// again, kUnflushed, so that the free will be flushed, and kTouched, so that it will be noticed
  /// when the slab is empty.
  Shared<ThreadSlot*> quick = nullptr;
  Magazines* magazines = nullptr;  ///< the owner's, for this class; nullptr without an owner

  alignas(kLineBytes) UnitIndex head{};
  Shared<UnitKind> kind = UnitKind::kNone;  ///< kNone: no segment begins here at present
  Shared<uint64_t> units = 0;
  LineCounter word;  ///< of an extent's head; a slab's head is durable before its first block
  Segment* next = nullptr;  ///< in a SlabList
  Segment* previous = nullptr;
  Segment* next_unflushed = nullptr;  ///< in the owner's list of slabs with frees to flush

  alignas(kLineBytes) std::atomic<bool> has_freed{false};  ///< the owner's freed list contains it
  Segment* next_freed = nullptr;       ///< in that list of slabs of which others have freed
  Segment* next_touched = nullptr;     ///< in the TouchedSlabs that contain it
  Segment* next_remembered = nullptr;  ///< in the unit map's list of all segments

  std::array<LineCounter, kBitLinesMax> lines;  ///< one for each line of BitPairs

  static constexpr uint8_t kAtHand = 1;     ///< a SlabList or a class cache has it
  static constexpr uint8_t kUnflushed = 2;  ///< it has frees to flush
  static constexpr uint8_t kFreed = 4;      ///< a block was freed since a class cache took it
  static constexpr uint8_t kEntered = 8;    ///< the SegmentTable has this extent, or part of it
  static constexpr uint8_t kTouched = 16;   ///< some TouchedSlabs contain it
  bool Has(uint8_t flag) const { return (flags & flag) != 0; }

  /// Sets what follows from the class, `kind` excepted. `head` and `start` must be set.
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
  /// How many blocks the slab has, free or not.
  uint64_t capacity() const { return static_cast<uint64_t>(end_block - first_block); }
  /// The size of each block of the slab, or of the extent.
  uint64_t UsableBytes() const { return IsSlab() ? uint64_t{block_bytes} : units * kUnitBytes; }
  const char* end() const { return start + units * kUnitBytes; }

  /// Which block of a slab covers a byte, and whether that byte is the block's first.
  struct Place {
    uint64_t index;
    bool is_start;
  };
  /// Units  offset: bytes from the slab's start.
  Place PlaceOf(uint64_t offset) const {
    const uint64_t factor = reciprocal;
    const WideProduct product = WideProduct{offset} * factor;
    return {static_cast<uint64_t>(product >> 64), static_cast<uint64_t>(product) < factor};
  }

  // The product of an offset and the reciprocal has the quotient in its upper half. Its lower half
  // is below the reciprocal iff the remainder is zero (Lemire, Kaser, Kurz 2019). This is exact for
  // block sizes up to 2^16 and for offsets in a slab, which are below 2^22, because the product of
  // the two is far below 2^64.
  __extension__ using WideProduct = unsigned __int128;
  static constexpr uint64_t ReciprocalOf(uint64_t bytes) { return ~uint64_t{0} / bytes + 1; }
};

static_assert(kBitLinesMax <= 16, "Segment::flushing has a bit for each line");

/// Slabs of which blocks were freed since somebody looked whether they are empty. Of all slabs, no
/// others can have become empty. What is in such a list may have another owner by now, or be no
/// slab any more.
/// Threads  the owner of the list. Add() needs the holder of the slab [RUN-2], too, and Pop() that
///          the gate is closed.
class TouchedSlabs {
 public:
  /// Does nothing if the slab is in such a list.
  void Add(Segment& segment) {
    if (segment.Has(Segment::kTouched)) return;
    segment.flags |= Segment::kTouched;
    segment.next_touched = first_;
    if (first_ == nullptr) last_ = &segment;
    first_ = &segment;
  }
  /// Removes one; nullptr if there is none. Its next free is noted again.
  Segment* Pop() {
    Segment* const segment = first_;
    if (segment == nullptr) return nullptr;
    first_ = segment->next_touched;
    segment->flags &= static_cast<uint8_t>(~Segment::kTouched);
    segment->quick = nullptr;
    return segment;
  }
  /// Takes over all of the other's.
  void TakeAll(TouchedSlabs& other) {
    if (other.first_ == nullptr) return;
    other.last_->next_touched = first_;
    if (first_ == nullptr) last_ = other.last_;
    first_ = std::exchange(other.first_, nullptr);
  }

 private:
  Segment* first_ = nullptr;
  Segment* last_ = nullptr;  ///< if there is a first one
};

/// Slabs with room, in the order in which they were listed. A slab is in one list at most.
/// Threads  the holder of the slabs [RUN-2].
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
  /// Removes the first slab; nullptr if the list is empty.
  Segment* Pop() {
    Segment* const segment = first_;
    if (segment != nullptr) Remove(segment);
    return segment;
  }
  /// Removes the slab with the lowest address among the first few; nullptr if the list is empty.
  /// The others stay where they are and are passed over as long as a lower one is there. Meanwhile
  /// their blocks are freed, until they are empty and can be released.
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
