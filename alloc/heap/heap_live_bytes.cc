// How much of a heap is in use: counted once, and then kept.
//
// Every block whose bit is set counts. Whoever sets or clears bits keeps account of how
// many bytes they are for: a ThreadHeap by itself (ThreadHeap::TakeLiveChange()), so
// that malloc and free do nothing for it, and the heap for extents. The blocks in
// magazines have their bits set, too, and are put back while the gate is closed.
#include <bit>

#include "alloc/heap/heap.h"
#include "alloc/heap/segments/slab.h"

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

Result<uint64_t> Heap::CountLiveBytes() {
  uint64_t live_bytes = 0;
  for (UnitIndex at(0);;) {
    const Result<UnitIndex> head = units_.NextHead(at);
    if (!head) return head.status();
    if (head->value() >= units_.unit_count()) return live_bytes;
    const UnitWord word = units_.Word(*head);
    if (word.kind() == UnitKind::kExtent) {
      live_bytes += word.units() * kUnitBytes;
    } else {
      // The slab is not adopted: counting a heap leaves nothing of it in memory.
      Segment segment;
      segment.head = *head;
      segment.start = units_.AddressOf(*head);
      segment.BecomeSlab(word.size_class());
      const Slab slab(segment);
      uint64_t blocks = 0;
      for (uint64_t i = 0; i < slab.WordCount(); ++i) {
        blocks += static_cast<uint64_t>(std::popcount(slab.Allocated(i)));
      }
      live_bytes += blocks * segment.block_bytes;
      ++work_.slabs_counted;
    }
    at = UnitIndex(head->value() + 1);
  }
}

}  // namespace morsel::alloc
