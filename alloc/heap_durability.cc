// When what a heap has stored becomes durable.
#include "alloc/heap.h"
#include "alloc/slab.h"

namespace morsel::alloc {

Status Heap::Flush(const void* address, uint64_t size_bytes) {
  const char* const begin = static_cast<const char*>(address);
  if (size_bytes > 0) persist_.Flush(address, size_bytes);
  std::lock_guard lock(mutex_);
  return FlushAllocations(begin, begin + (size_bytes > 0 ? size_bytes : 1));
}

Status Heap::FlushAllocations(const char* begin, const char* end) {
  const auto wanted = [this, &pending = PendingLines::OfThread()](LineCounter* counter,
                                                                  uint64_t seen) {
    if (pending.IsLast(number_, counter, seen)) return false;
    pending.Add(number_, counter, seen);
    return true;
  };
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
    const Result<Run*> taken = TakeUp(*head);
    if (!taken) return taken.status();
    Run& run = **taken;
    if (run.kind == UnitKind::kSlab) {
      const char* const slab_end = run.start + run.units * kUnitBytes;
      Slab(run).FlushBits(begin > run.start ? begin : run.start, end < slab_end ? end : slab_end,
                          persist_, wanted);
    } else if (const uint64_t seen = run.word.stored.load(); run.word.durable.load() < seen) {
      if (wanted(&run.word, seen)) persist_.Flush(units_.WordAt(run.head), sizeof(uint64_t));
    }
    unit = UnitIndex(run.head.value() + run.units);
  }
  return Code::kOk;
}

void Heap::Fence() {
  persist_.Fence();
  PendingLines::OfThread().Fenced(number_);
}

void Heap::Settle() {
  std::lock_guard lock(mutex_);
  (void)SettleFound();  // what is damaged belongs to nobody who could be told
  SettleLocked();
}

// After an unclean end, what was not taken up yet may be visible without being durable.
Status Heap::SettleFound() {
  if (!unclean_) return Code::kOk;
  for (UnitIndex at(0);;) {
    const Result<UnitIndex> head = units_.NextHead(at);
    if (!head) return head.status();
    if (head->value() >= units_.unit_count()) break;
    const Result<Run*> run = TakeUp(*head);
    if (!run) return run.status();
    at = UnitIndex(head->value() + 1);
  }
  units_.FoundIsDurable();
  unclean_ = false;
  return Code::kOk;
}

void Heap::SettleLocked() {
  const auto flush = [&](LineCounter& counter, const void* line, size_t size_bytes) {
    if (!counter.IsDurable()) persist_.Flush(line, size_bytes);
  };
  units_.ForEachRun([&](Run& run) {
    if (run.kind == UnitKind::kExtent) flush(run.word, units_.WordAt(run.head), sizeof(uint64_t));
    if (run.kind != UnitKind::kSlab) return;
    for (uint64_t line = 0; line < BitLineCount(run.size_class); ++line) {
      flush(run.lines[line], &Slab(run).Lines()[line], sizeof(BitLine));
    }
  });
  persist_.Fence();
  units_.SettleCleared();
  // Nothing was stored meanwhile: the lock is held.
  units_.ForEachRun([](Run& run) {
    run.word.RaiseDurable(run.word.stored.load());
    for (LineCounter& line : run.lines) line.RaiseDurable(line.stored.load());
  });
  frees_unsettled_ = 0;
}

void Heap::SettleAll() {
  std::lock_guard lock(mutex_);
  (void)SettleFound();
  for (UnitIndex at(0);;) {
    const Result<UnitIndex> head = units_.NextHead(at);
    if (!head || head->value() >= units_.unit_count()) break;
    const Result<Run*> run = TakeUp(*head);
    if (run) persist_.Flush((*run)->start, (*run)->units * kUnitBytes);
    at = UnitIndex(head->value() + 1);
  }
  SettleLocked();
}

Status Heap::Close() {
  std::lock_guard lock(mutex_);
  if (read_only_ || !fine_) return Code::kOk;
  // ORDER  all bits and heads, those that were only found included  <  the state "clean"
  // WHY    after a clean end nothing is flushed again before it is trusted.      [HEAP-5]
  // CRASH  before the state: the next open takes the end for unclean, and flushes.
  // TEST   alloc/heap_crash_test: CleanMeansDurable
  const Status found = SettleFound();
  SettleLocked();
  if (found.ok()) persist_.Publish(&header_->state, kHeapClean);
  return found;
}

}  // namespace morsel::alloc
