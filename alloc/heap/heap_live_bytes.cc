// How much of a heap is in use, counted from the medium.
#include <bit>

#include "alloc/heap/heap.h"
#include "alloc/heap/segments/slab.h"

namespace morsel::alloc {

Result<uint64_t> Heap::LiveBytes() {
  FreeWhatIsKept();
  const StoppedWorld stopped = StopTheWorld();  // blocks in magazines are not live
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
    }
    at = UnitIndex(head->value() + 1);
  }
}

}  // namespace morsel::alloc
