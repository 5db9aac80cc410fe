#include "alloc/heap/heap_walk.h"

#include <bit>

#include "alloc/heap/segments/slab.h"

namespace morsel::alloc {

void HeapWalk::Read(UnitIndex head, Segment& segment) {
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

Result<uint64_t> HeapWalk::BytesFrom(const void* address) {
  const Result<UnitIndex> head = units_.HeadOf(units_.UnitOf(address));
  if (!head && head.error() == Code::kNotFound) return uint64_t{0};
  if (!head) return head.status();
  Segment segment;
  Read(*head, segment);
  const auto before = static_cast<uint64_t>(static_cast<const char*>(address) - segment.start);
  if (!segment.IsSlab()) return segment.UsableBytes() - before;
  if (!Slab(segment).IsInLiveBlock(address)) return uint64_t{0};
  return (segment.PlaceOf(before).index + 1) * segment.UsableBytes() - before;
}

Status HeapWalk::ForEachSegment(UnitIndex from, const VisitSegment& visit) {
  const Result<UnitIndex> first = units_.HeadOf(from);
  if (!first && first.error() != Code::kNotFound) return first.status();
  for (UnitIndex at = first ? *first : from;;) {
    const Result<UnitIndex> head = units_.NextHead(at);
    if (!head) return head.status();
    if (head->value() >= units_.unit_count()) return Code::kOk;
    Segment segment;
    Read(*head, segment);
    if (!visit(segment)) return Code::kOk;
    at = UnitIndex(head->value() + 1);
  }
}

Status HeapWalk::ForEachBlockBehind(uint64_t offset, const VisitBlock& visit) {
  const char* const behind = units_.AddressOf(UnitIndex(0)) + offset;
  const auto visit_wanted = [&](char* block, uint64_t usable_bytes) {
    return block + usable_bytes <= behind || visit(block, usable_bytes);
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
