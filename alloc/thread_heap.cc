#include "alloc/thread_heap.h"

#include "base/check.h"

namespace morsel::alloc {

// Slabs of small blocks are gone through word by word, in turn: while the others are, blocks of one
// are freed, and each word has more to give when it is looked at again. One of large blocks has few
// words and takes much room: there it counts that some slabs become empty.
bool ThreadHeap::Refill(Bin& bin) {
  for (bool looked = false;;) {
    if (bin.run != nullptr) {
      Slab(*bin.run).Unreserve(&bin.reserved);
      if (Slab(*bin.run).Reserve(&bin.reserved)) return true;
      Leave(bin, /*swept=*/true);
    }
    if (!looked && bin.listed.first() == nullptr) {
      looked = true;
      TakeBack();
    }
    Run* const first = bin.listed.first();
    if (first == nullptr) return false;
    bin.run = first->block_bytes > kSmallBytesMax ? bin.listed.PopLow() : bin.listed.Pop();
    bin.reserved.next_word = bin.run->first_block / 64;
    bin.run->flags &= static_cast<uint8_t>(~Run::kFreed);
    bin.run->quick = nullptr;  // so that the next free is noted
  }
}

void ThreadHeap::ParkBin(Bin& bin) {
  if (bin.reserved.bits == nullptr) return;
  Slab(*bin.run).Unreserve(&bin.reserved);
  --bin.reserved.next_word;  // the same one
}

void ThreadHeap::EmptyCache() {
  for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
    while (cache_.MayTake(size_class)) {
      void* const block = cache_.Take(size_class);
      Run* const run = slabs_.At(block);
      GiveFolded(*run, block);
      Touched(*run);
      CountFree();
    }
  }
}

void ThreadHeap::GiveFolded(Run& run, void* block) {
  while (!Slab(run).Give(block)) {
    (void)Slab(run).LiveIndex(block, "free");
    Slab(run).Fold();  // and others may free another block of the word before the next look
  }
}

void ThreadHeap::Give(Run& run, void* block) {
  if (cache_.Has(run.size_class, block)) {
    Die("free of %p, a block of %u bytes that is not allocated: it was freed before", block,
        uint32_t{run.block_bytes});
  }
  GiveFolded(run, block);
  Touched(run);
  CountFree();
}

void ThreadHeap::List(Bin& bin, Run* run) {
  if (run->Has(Run::kAtHand)) return;
  run->flags |= Run::kAtHand;
  bin.listed.Append(run);
}

// The bin has no slab afterwards. `swept`: it has looked at all words.
void ThreadHeap::Leave(Bin& bin, bool swept) {
  Run* const run = bin.run;
  if (run == nullptr) return;
  Slab(*run).Unreserve(&bin.reserved);
  bin.run = nullptr;
  run->flags &= static_cast<uint8_t>(~Run::kAtHand);
  if (!swept || run->Has(Run::kFreed)) {
    List(bin, run);
  } else {
    run->quick = nullptr;
  }
}

void ThreadHeap::LeaveIfEmpty(Bin& bin) {
  if (bin.run != nullptr && Slab(*bin.run).IsEmpty()) Leave(bin, /*swept=*/false);
}

// Its frees are to be settled one day.
void ThreadHeap::Unsettled(Run* run) {
  if (run->Has(Run::kUnsettled)) return;
  run->flags |= Run::kUnsettled;
  if (!fine_) return;
  run->next_unsettled = unsettled_;
  unsettled_ = run;
}

// Something of it was freed.
void ThreadHeap::Touched(Run& run) {
  run.flags |= Run::kFreed;
  List(bins_[run.size_class], &run);
  Unsettled(&run);
  run.Open(slot);
}

void ThreadHeap::Lease(Run* run, bool has_room) {
  run->reserved = &bins_[run->size_class].reserved;
  run->owner.store(this, std::memory_order_release);
  if (has_room) List(bins_[run->size_class], run);
}

void ThreadHeap::GiveAway(Run& run, void* block, ThreadHeap& owner) {
  Slab slab(run);
  slab.GiveAsOther(slab.LiveIndex(block, "free"), block);
  // ORDER  the freed bit  <  the look at has_freed  (the owner: has_freed cleared < looks at bits)
  // WHY    one of the two sees what the other did; else a freed block would be found by nobody.
  // CRASH  nothing of this is on the medium: recovery folds all freed bits.
  // TEST   alloc/heap_parts_test: NothingThatOthersFreeMeanwhileIsLost
  if (!run.has_freed.load() && !run.has_freed.exchange(true)) owner.FreedOf(&run);
  if (!fine_) return;
  CountFree();
  const size_t hash = (reinterpret_cast<uintptr_t>(&run) / sizeof(Run)) % kRecentMax;
  if (recent_[hash] == &run) return;
  recent_[hash] = &run;
  others_[other_count_++] = &run;
  if (other_count_ == kOthersMax) frees_left_ = 0;
}

void ThreadHeap::FreedOf(Run* run) {
  Run* first = freed_.load(std::memory_order_relaxed);
  do {
    run->next_freed = first;
  } while (!freed_.compare_exchange_weak(first, run, std::memory_order_release,
                                         std::memory_order_relaxed));
}

bool ThreadHeap::TakeBack() {
  if (freed_.load(std::memory_order_relaxed) == nullptr) return false;
  Run* run = freed_.exchange(nullptr, std::memory_order_acquire);
  while (run != nullptr) {
    Run* const next_freed = run->next_freed;  // another's as soon as has_freed is cleared
    run->has_freed.exchange(false);
    Slab(*run).Fold();
    Touched(*run);
    run = next_freed;
  }
  return true;
}

void ThreadHeap::Settle() {
  EmptyCache();
  const auto flush = [&](Run* run) {
    for (uint64_t line = 0; line < BitLineCount(run->size_class); ++line) {
      if (run->IsDurable(run->lines[line]) && !Slab(*run).HasFreed(line)) continue;
      persist_.Flush(Slab(*run).LineAt(line), kLineBytes);
    }
  };
  ParkAll();
  for (Run* run = unsettled_; run != nullptr; run = run->next_unsettled) {
    run->Close();
    flush(run);
  }
  for (size_t i = 0; i < other_count_; ++i) flush(others_[i]);
  persist_.Fence();
  // Of an own slab nothing was stored meanwhile, and no line is open.
  for (Run* run = unsettled_; run != nullptr; run = run->next_unsettled) {
    for (LineCounter& line : run->lines) line.RaiseDurable(line.stored.load());
  }
  Settled();
}

void ThreadHeap::Settled() {
  while (Run* const run = unsettled_) {
    unsettled_ = run->next_unsettled;
    run->flags &= static_cast<uint8_t>(~Run::kUnsettled);
    run->Close();
  }
  other_count_ = 0;
  recent_ = {};
  if (fine_) frees_left_ = kFreesBeforeSettle;
}

}  // namespace morsel::alloc
