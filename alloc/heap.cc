// Free, realloc and look-up. Where blocks come from is heap_allocate.cc, when
// they are durable heap_durability.cc, how a heap is opened heap_open.cc.
#include "alloc/heap.h"

#include <bit>
#include <cstring>
#include <new>

#include "alloc/slab.h"
#include "base/check.h"
#include "base/error.h"

namespace morsel::alloc {

Run* Heap::Remember(UnitIndex head) {
  Run*& remembered = units_.RunAt(head);
  if (remembered == nullptr) remembered = new (std::nothrow) Run;
  Run* const run = remembered;
  if (run == nullptr) {
    (void)Fail(Code::kNoMemory, "no memory to keep account of a slab of the morsel at %p",
               static_cast<void*>(header_));
    return nullptr;
  }
  run->head = head;
  run->start = units_.AddressOf(head);
  return run;
}

Result<Run*> Heap::TakeUp(UnitIndex head) {
  if (Run* const known = units_.RunAt(head); known != nullptr && known->kind != UnitKind::kNone) {
    return known;
  }
  Run* const run = Remember(head);
  if (run == nullptr) return Code::kNoMemory;
  const UnitWord word = units_.Word(head);
  if (word.kind() == UnitKind::kSlab) {
    run->size_class = word.size_class();
    run->units = SlabUnits(run->size_class).value();
    MORSEL_TRY(Slab(*run).Adopt(persist_, unclean_, read_only_));
  } else {
    run->units = word.units();
  }
  run->kind = word.kind();
  if (run->kind == UnitKind::kSlab && run->used < run->capacity()) List(run);
  return run;
}

Result<Run*> Heap::RunOf(const void* address) {
  const Result<UnitIndex> head = units_.HeadOf(units_.UnitOf(address));
  if (!head) return head.status();
  return TakeUp(*head);
}

Run& Heap::LiveRun(const void* block, const char* call) {
  const Result<Run*> run = RunOf(block);
  if (!run) {
    Die("%s of %p, which is no block of the morsel at %p%s%s", call, block,
        static_cast<void*>(header_), run.error() == Code::kNotFound ? "" : ": ",
        run.error() == Code::kNotFound ? "" : LastError());
  }
  const bool live =
      (*run)->kind == UnitKind::kSlab ? Slab(**run).IsLive(block) : block == (*run)->start;
  if (!live) {
    Die("%s of %p, which is not the start of a live block of the morsel at %p (freed twice?)", call,
        block, static_cast<void*>(header_));
  }
  return **run;
}

void Heap::List(Run* run) {
  if (run->listed) return;
  Run*& first = classes_[run->size_class].listed;
  run->listed = true;
  run->previous = nullptr;
  run->next = first;
  if (first != nullptr) first->previous = run;
  first = run;
}

void Heap::Unlist(Run* run) {
  if (!run->listed) return;
  (run->previous != nullptr ? run->previous->next : classes_[run->size_class].listed) = run->next;
  if (run->next != nullptr) run->next->previous = run->previous;
  run->listed = false;
  run->next = run->previous = nullptr;
}

void Heap::Release(Run* run) {
  Unlist(run);
  units_.ClearHead(run->head, UnitCount(run->units));
  run->kind = UnitKind::kNone;
}

void Heap::Free(void* block) {
  std::lock_guard lock(mutex_);
  FreeLocked(block);
}

void Heap::FreeLocked(void* block) {
  Run& run = LiveRun(block, "free");
  if (run.kind == UnitKind::kExtent) {
    Release(&run);
  } else {
    Slab(run).Give(block);
    List(&run);
    // One empty slab is kept for its class, lest a pair of malloc and free make and take away one.
    const bool only = run.next == nullptr && run.previous == nullptr;
    if (run.used == 0 && !only) Release(&run);
  }
  Freed();
}

void Heap::Freed() {
  if (!fine_) return;
  // What was freed before a kill may not be durable yet. Were it left so, the bound would hold for
  // each life of the program and not for all of them.
  if (frees_unsettled_ == 0) (void)SettleFound();
  if (++frees_unsettled_ >= kFreesUnsettledMax) SettleLocked();
}

uint64_t Heap::UsableBytes(const void* block) {
  std::lock_guard lock(mutex_);
  const Run& run = LiveRun(block, "usable_size");
  return run.kind == UnitKind::kSlab ? BlockBytes(run.size_class) : run.units * kUnitBytes;
}

Result<bool> Heap::IsLive(const void* address) {
  std::lock_guard lock(mutex_);
  const Result<Run*> run = RunOf(address);
  if (!run && run.error() == Code::kNotFound) return false;
  if (!run) return run.status();
  return (*run)->kind == UnitKind::kExtent || Slab(**run).IsInLiveBlock(address);
}

Result<bool> Heap::ResizeInPlace(Run& run, uint64_t size_bytes) {
  if (run.kind == UnitKind::kSlab) {
    const uint64_t now = BlockBytes(run.size_class);
    // Half of a block may be lost before moving is worth it.
    return size_bytes <= now && size_bytes > now / 2;
  }
  const uint64_t wanted = DivideUp(size_bytes, kUnitBytes);
  if (size_bytes <= kBlockBytesMax / 2) return false;
  if (wanted > run.units) {
    const UnitIndex behind(run.head.value() + run.units);
    const Result<bool> free = units_.IsFree(behind, UnitCount(wanted - run.units));
    if (!free || !*free) return free;
    units_.SettleCleared();
  }
  if (wanted != run.units) {
    units_.ResizeExtent(run.head, UnitCount(run.units), UnitCount(wanted));
    run.units = wanted;
    run.word.Stored();
  }
  return true;
}

Result<void*> Heap::Reallocate(void* block, uint64_t size_bytes) {
  uint64_t before = 0;
  {
    std::lock_guard lock(mutex_);
    Run& run = LiveRun(block, "realloc");
    const Result<bool> resized = ResizeInPlace(run, size_bytes);
    if (!resized) return resized.status();
    if (*resized) return block;
    before = run.kind == UnitKind::kSlab ? BlockBytes(run.size_class) : run.units * kUnitBytes;
  }
  const Result<void*> moved = Allocate(size_bytes, kBlockBytesMin);
  if (!moved && size_bytes <= before) return block;  // to shrink needs no space
  if (!moved) return moved;
  std::memcpy(*moved, block, before < size_bytes ? before : size_bytes);
  Free(block);
  return moved;
}

}  // namespace morsel::alloc
