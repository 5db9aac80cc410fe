#include "alloc/heap/supply/slab_recall.h"

#include "alloc/heap/segments/slab.h"
#include "base/error.h"

namespace morsel::alloc {

Status SlabRecall::ReleaseEmpty(uint64_t heads_max) {
  const ThreadParts::Gate closed(parts_);
  MORSEL_TRY(known_.AdoptMore(heads_max));
  parts_.DrainAll();
  // No thread may have a slab to flush that has been released.
  for (ThreadHeap* one = parts_.first(); one != nullptr; one = one->next) one->FlushFrees();
  for (ThreadHeap* one = parts_.first(); one != nullptr; one = one->next) {
    central_.touched().TakeAll(one->touched());
  }
  while (Segment* const segment = central_.touched().Pop()) ReleaseIfEmpty(*segment);
  return Code::kOk;
}

void SlabRecall::ReleaseIfEmpty(Segment& slab) {
  ++slabs_searched_;
  if (!slab.IsSlab() || !Slab(slab).IsEmpty()) return;
  ThreadHeap* const owner = slab.owner.load(std::memory_order_relaxed);
  if (!parts_.IsCommon(owner)) {
    owner->AbandonSlab(&slab);
  } else {
    central_.Remove(slab);
  }
  table_.Forget(slab);
  slab.owner.store(nullptr, std::memory_order_relaxed);
  slab.quick = nullptr;
  slab.flags = 0;
  units_.ClearHead(slab.head, UnitCount(slab.units));
  slab.kind = UnitKind::kNone;
}

void SlabRecall::TakeAll() {
  parts_.DrainAll();
  for (ThreadHeap* one = parts_.first(); one != nullptr; one = one->next) {
    one->Abandon([this](Segment* segment) {
      ++slabs_searched_;
      central_.ListIfRoom(segment);
    });
  }
}

}  // namespace morsel::alloc
