#include "alloc/heap/durability.h"

#include <algorithm>
#include <mutex>

#include "alloc/heap/segments/slab.h"
#include "base/error.h"

namespace morsel::alloc {

Status Durability::Flush(const void* address, uint64_t size_bytes) {
  const char* const begin = static_cast<const char*>(address);
  if (size_bytes > 0) facts_.persist.Flush(address, size_bytes);
  return FlushAllocations(begin, begin + (size_bytes > 0 ? size_bytes : 1));
}

Status Durability::Copy(void* to, const void* from, uint64_t size_bytes) {
  if (size_bytes == 0) return Code::kOk;
  facts_.persist.Copy(to, from, size_bytes);
  return FlushAllocations(static_cast<char*>(to), static_cast<char*>(to) + size_bytes);
}

// Has the allocation of each block that [begin, end) touches made durable by the thread's next
// fence.
Status Durability::FlushAllocations(const char* begin, const char* end) {
  if (ThreadSlot* const slot = parts_.Enter(); slot != nullptr) {
    Segment* const segment = table_.At(begin);
    const bool one = segment != nullptr && end <= segment->end();
    if (one) FlushSegment(*segment, begin, end, *slot->thread_heap);
    slot->Leave();
    if (one) return Code::kOk;
  }
  const auto lock = parts_.LockForMine();
  const Result<ThreadHeap*> mine = parts_.Mine();
  if (!mine) return mine.status();
  return FlushAllocationsLocked(**mine, begin, end);
}

// Adds to `mine` what the thread's next fence must make durable so that [begin, end) of the segment
// is allocated after a crash: an extent's head, or the lines of bits of all blocks that are
// touched.
void Durability::FlushSegment(Segment& segment, const char* begin, const char* end,
                              ThreadHeap& mine) {
  if (!segment.IsSlab()) {
    if (!segment.word.IsDurable())
      FlushLater(mine.pending(), segment.word, units_.WordAt(segment.head));
    return;
  }
  Slab(segment).ForEachLine(begin, end, [&](LineCounter& counter, const void* line) {
    if (!counter.IsDurable()) FlushLater(mine.pending(), counter, line);
  });
}

void Durability::FlushLater(PendingLines& pending, LineCounter& counter, const void* line) {
  if (!pending.Add(&counter, line)) facts_.persist.Flush(line, sizeof(uint64_t));
}

Status Durability::FlushAllocationsLocked(ThreadHeap& mine, const char* begin, const char* end) {
  UnitIndex unit = units_.UnitOf(begin);
  while (units_.AddressOf(unit) < end) {
    const Result<UnitIndex> head = units_.HeadOf(unit);
    if (!head && head.error() != Code::kNotFound) return head.status();
    if (!head) {
      const Result<UnitIndex> next = units_.NextHead(unit);
      if (!next) return next.status();
      if (next->value() >= units_.unit_count()) return Code::kOk;
      unit = *next;
      continue;
    }
    const Result<Segment*> taken = known_.At(*head);
    if (!taken) return taken.status();
    Segment& segment = **taken;
    FlushSegment(segment, std::max<const char*>(begin, segment.start), std::min(end, segment.end()),
                 mine);
    if (!segment.IsSlab()) {
      table_.Enter(&segment, begin, end);  // the next Flush() of it takes no lock
      segment.flags |= Segment::kEntered;
    }
    unit = UnitIndex(segment.head.value() + segment.units);
  }
  return Code::kOk;
}

void Durability::Fence() {
  ThreadSlot* const slot = parts_.Enter();
  ThreadHeap* mine = slot != nullptr ? slot->thread_heap : nullptr;
  std::unique_lock<Mutex> lock;
  if (mine == nullptr) {
    lock = parts_.LockForMine();
    const Result<ThreadHeap*> found = parts_.Mine();
    if (found) mine = *found;  // if not, no Flush() of this thread has succeeded
  }
  if (mine != nullptr) {
    mine->pending().Flush(facts_.persist, units_.AddressOf(UnitIndex(units_.unit_count())));
  }
  if (slot != nullptr) slot->Leave();
  facts_.persist.Fence();
  if (mine != nullptr) mine->pending().Fenced();
}

void Durability::FlushMyFrees() {
  const auto lock = parts_.LockForMine();
  const Result<ThreadHeap*> mine = parts_.Mine();
  if (!mine) return;  // this thread has freed nothing
  FlushFreesOf(**mine);
}

// Makes durable what the calling thread has freed.
void Durability::FlushFreesOf(ThreadHeap& mine) {
  // Frees from before a kill may not be durable yet. If they stayed so, the bound
  // kFreesUnflushedMax would hold for each run of the program alone, and not for all of them
  // together.
  (void)FlushRecovered();
  mine.RecoveredIsFlushed();
  units_.FlushCleared();
  mine.FlushFrees();  // its fence is for the cleared heads, too
  parts_.Lend(mine, units_.unit_count() * kUnitBytes);
}

void Durability::FlushFrees() {
  (void)FlushRecovered();  // what is damaged belongs to no caller who could be told
  FlushAllFrees();
}

// After an unclean end, what is not adopted yet may be visible without being durable. Adopting it
// makes it durable.
Status Durability::FlushRecovered() {
  if (!known_.IsUnclean()) return Code::kOk;
  MORSEL_TRY(known_.AdoptMore(KnownSegments::kAllHeads));
  units_.RecoveredIsDurable();
  parts_.RecoveredIsDurable();
  known_.RecoveredIsDurable();
  return Code::kOk;
}

void Durability::FlushAllFrees() {
  parts_.DrainAll();
  units_.ForEachSegment([&](Segment& segment) {
    if (segment.kind == UnitKind::kExtent && !segment.word.IsDurable()) {
      facts_.persist.Flush(units_.WordAt(segment.head), sizeof(uint64_t));
    }
    if (!segment.IsSlab()) return;
    const Slab slab(segment);
    for (uint64_t line = 0; line < BitLineCount(segment.size_class); ++line) {
      const bool freed = segment.Has(Segment::kUnflushed) && slab.HasRoom(line);
      if (freed || !segment.lines[line].IsDurable())
        facts_.persist.Flush(slab.LineAt(line), kLineBytes);
    }
  });
  facts_.persist.Fence();
  units_.PersistCleared();
  // Nothing was stored since the flushes, because the gate is closed.
  units_.ForEachSegment([](Segment& segment) {
    segment.word.RaiseDurable(segment.word.stored.load());
    for (LineCounter& line : segment.lines) line.RaiseDurable(line.stored.load());
  });
  for (ThreadHeap* one = parts_.first(); one != nullptr; one = one->next) one->FreesFlushed();
}

void Durability::PersistAll() {
  (void)FlushRecovered();
  for (UnitIndex at(0);;) {
    const Result<UnitIndex> head = units_.NextHead(at);
    if (!head || head->value() >= units_.unit_count()) break;
    const Result<Segment*> segment = known_.At(*head);
    if (segment) facts_.persist.Flush((*segment)->start, (*segment)->units * kUnitBytes);
    at = UnitIndex(head->value() + 1);
  }
  FlushAllFrees();
}

Status Durability::Close() {
  if (facts_.read_only || !facts_.fine) return Code::kOk;
  // ORDER  all bits and heads, those that an earlier process left included  <  the state "clean"
  // WHY    after a clean end nothing is flushed again before it is trusted.      [HEAP-5]
  // CRASH  before the state: to the next open the end is unclean, and it flushes.
  // TEST   alloc/heap/heap_crash_test: CleanMeansDurable
  const Status found = FlushRecovered();
  FlushAllFrees();
  if (found.ok()) facts_.persist.Publish(&facts_.header->state, kHeapClean);
  return found;
}

}  // namespace morsel::alloc
