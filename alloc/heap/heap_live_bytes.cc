// How much of a heap is in use, counted once, and then kept; and which blocks are.
//
// Every block whose bit is set counts. Whoever sets or clears bits keeps account of how
// many bytes they are for: a ThreadHeap by itself (ThreadHeap::TakeLiveChange()), so
// that malloc and free do nothing for it, and the heap for extents. The blocks in
// magazines have their bits set, too, and are put back while the gate is closed.
#include <bit>

#include "alloc/heap/guard/guard.h"
#include "alloc/heap/heap.h"
#include "alloc/heap/segments/slab.h"
#include "base/bits.h"
#include "base/error.h"

namespace morsel::alloc {

Result<uint64_t> Heap::LiveBytes() { return LiveBytes(StopAndRelease()); }

Result<uint64_t> Heap::LiveBytes(const StoppedWorld&) {
  CollectLiveChanges();
  const auto is_possible = [this] {
    return *live_bytes_ >= 0 && static_cast<uint64_t>(*live_bytes_) <= size_bytes();
  };
  // What was recorded with the heap may be damaged.
  if (!live_bytes_ || !is_possible()) {
    const Result<uint64_t> counted = CountLiveBytes();
    if (!counted) return counted.status();
    live_bytes_ = static_cast<int64_t>(*counted);
  }
  return static_cast<uint64_t>(*live_bytes_);
}

// Takes over what the ThreadHeaps have kept account of. If nothing was counted yet, it is dropped:
// counting will find it.
void Heap::CollectLiveChanges() {
  for (ThreadHeap* one = parts_.first(); one != nullptr; one = one->next) {
    const int64_t change = one->TakeLiveChange();
    if (live_bytes_) *live_bytes_ += change;
  }
}

// What the medium says of the segment with that head. It is not adopted: a walk over the heap
// leaves nothing of it in memory.
void Heap::ReadOnMedium(UnitIndex head, Segment& segment) {
  const UnitWord word = units_.Word(head);
  segment.head = head;
  segment.start = units_.AddressOf(head);
  segment.kind = word.kind();
  if (segment.IsSlab()) {
    segment.BecomeSlab(word.size_class());
  } else {
    segment.units = word.units();
  }
}

Result<bool> Heap::IsLive(const StoppedWorld&, const void* address) {
  const Result<UnitIndex> head = units_.HeadOf(units_.UnitOf(address));
  if (!head && head.error() == Code::kNotFound) return false;
  if (!head) return head.status();
  Segment segment;
  ReadOnMedium(*head, segment);
  return !segment.IsSlab() || Slab(segment).IsInLiveBlock(address);
}

// Calls `visit` for each slab and each extent that is on the medium and has the unit `from` or a
// later one, until it returns false.
Status Heap::ForEachSegment(UnitIndex from, const std::function<bool(Segment&)>& visit) {
  const Result<UnitIndex> first = units_.HeadOf(from);
  if (!first && first.error() != Code::kNotFound) return first.status();
  for (UnitIndex at = first ? *first : from;;) {
    const Result<UnitIndex> head = units_.NextHead(at);
    if (!head) return head.status();
    if (head->value() >= units_.unit_count()) return Code::kOk;
    Segment segment;
    ReadOnMedium(*head, segment);
    if (!visit(segment)) return Code::kOk;
    at = UnitIndex(head->value() + 1);
  }
}

Result<uint64_t> Heap::CountLiveBytes() {
  uint64_t live_bytes = 0;
  MORSEL_TRY(ForEachSegment(UnitIndex(0), [&](Segment& segment) {
    uint64_t blocks = 1;
    if (segment.IsSlab()) {
      const Slab slab(segment);
      blocks = 0;
      for (uint64_t i = 0; i < slab.WordCount(); ++i) {
        blocks += CountBits(slab.Allocated(i));
      }
      ++work_.slabs_counted;
    }
    live_bytes += blocks * segment.UsableBytes();
    return true;
  }));
  return live_bytes;
}

Status Heap::ForEachBlockBehind(const StoppedWorld&, uint64_t offset, const VisitBlock& visit) {
  const char* const behind = reinterpret_cast<const char*>(header_) + offset;
  const auto visit_wanted = [&](char* block, uint64_t usable_bytes) {
    if (block + usable_bytes <= behind) return true;
    // The guard keeps blocks that were freed, also while the world is stopped.
    if (guard() != nullptr && !guard()->HasLive(block, usable_bytes)) return true;
    return visit(block, usable_bytes);
  };
  return ForEachSegment(UnitIndex(offset / kUnitBytes), [&](Segment& segment) {
    if (!segment.IsSlab()) return visit_wanted(segment.start, segment.UsableBytes());
    const Slab slab(segment);
    for (uint64_t i = 0; i < slab.WordCount(); ++i) {
      for (uint64_t left = slab.Allocated(i); left != 0; left &= left - 1) {
        const uint64_t index = i * 64 + static_cast<uint64_t>(std::countr_zero(left));
        if (!visit_wanted(slab.BlockAt(index), segment.block_bytes)) return false;
      }
    }
    return true;
  });
}

}  // namespace morsel::alloc
