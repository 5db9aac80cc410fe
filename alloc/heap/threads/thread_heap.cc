#include "alloc/heap/threads/thread_heap.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/check.h"

namespace morsel::alloc {

ThreadHeap::ThreadHeap(const RunTable& runs, pmem::Persist persist, bool fine, uint64_t frees_first)
    : runs_(runs), persist_(persist), fine_(fine), frees_left_(fine ? frees_first : kNever) {
  void** words = words_.data();
  for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
    bins_[size_class].magazines.Begin(words, size_class);
    words += Magazines::Words(size_class);
  }
}

// What was freed is handed out next, unless that would soon be at its end again: then what is taken
// ahead comes first.
void* ThreadHeap::Take(unsigned size_class) {
  constexpr uint64_t kPartWorthIt = 4;
  Bin& bin = bins_[size_class];
  Magazines& magazines = bin.magazines;
  if (void* const block = magazines.TryTake(); block != nullptr) return block;
  if (magazines.FreedCount() < DivideUp(magazines.places(), kPartWorthIt)) {
    void* const block = Refill(bin, slot == nullptr ? 1 : magazines.places());
    if (block != nullptr) return block;
  }
  magazines.Exchange();
  return magazines.TryTake();
}

// Slabs of small blocks are gone through word by word, in turn: while the others are, blocks of one
// are freed, and each word has more to give when it is looked at again. One of large blocks has few
// words and takes much room: there it counts that some slabs become empty.
void* ThreadHeap::Refill(Bin& bin, uint64_t count) {
  for (bool looked = false;;) {
    if (bin.run != nullptr) {
      if (void* const block = TakeFrom(bin, count); block != nullptr) return block;
      Leave(bin, /*swept=*/true);
    }
    if (!looked && bin.listed.first() == nullptr) {
      looked = true;
      TakeBack();
    }
    Run* const first = bin.listed.first();
    if (first == nullptr) return nullptr;
    bin.run = first->block_bytes > kSmallBytesMax ? bin.listed.PopLow() : bin.listed.Pop();
    bin.next_word = bin.run->first_block / 64;
    bin.run->flags &= static_cast<uint8_t>(~Run::kFreed);
    bin.run->quick = nullptr;  // so that the next free is noted
  }
}

// Takes blocks of the bin's slab, makes all but one ready, and answers that, or nullptr if there is
// none.
void* ThreadHeap::TakeFrom(Bin& bin, uint64_t count) {
  Run& run = *bin.run;
  const uint64_t bytes = run.block_bytes;
  const uint64_t word_end = Slab(run).WordCount();
  Magazines::Filling filling(bin.magazines);
  for (uint64_t left = count; left > 0 && bin.next_word < word_end;) {
    uint64_t taken = Slab(run).Take(bin.next_word, left);
    if (taken == 0) {
      ++bin.next_word;
      continue;
    }
    char* const begin = Slab(run).BlockAt(bin.next_word * 64);
    while (taken != 0) {
      const int low = std::countr_zero(taken);
      const int together = std::countr_one(taken >> low);
      left -= static_cast<uint64_t>(together);
      filling.Add(begin + static_cast<uint64_t>(low) * bytes, bytes, together);
      taken &= ~(((together < 64 ? uint64_t{1} << together : uint64_t{0}) - 1) << low);
    }
  }
  filling.End();
  return bin.magazines.TryTake();
}

void ThreadHeap::PutBack() {
  HandOver();
  for (Bin& bin : bins_) {
    for (int i = 0; i < 2; ++i, bin.magazines.Exchange()) {
      while (void* const block = bin.magazines.TryTake()) {
        Run& run = *runs_.At(block);
        Slab(run).GiveOrDie(block);
        Touched(run);
        CountFree();
      }
    }
  }
}

void ThreadHeap::Give(Run& run, void* block) {
  if (bins_[run.size_class].magazines.WasGivenLast(block)) Slab(run).DieOfTwice(block);
  Slab(run).GiveOrDie(block);
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
  run.quick = slot;
}

void ThreadHeap::Lease(Run* run, bool has_room) {
  run->magazines = &bins_[run->size_class].magazines;
  run->owner.store(this, std::memory_order_release);
  if (has_room) List(bins_[run->size_class], run);
}

// Who frees what another thread has allocated mostly frees neighbours, one after the other.
void ThreadHeap::GiveAway(Run& run, void* block) {
  const uint64_t index = Slab(run).LiveIndex(block, "free");
  const uint64_t bit = uint64_t{1} << (index % 64);
  if (away_run_ != &run || away_word_ != index / 64) {
    HandOver();
    away_run_ = &run;
    away_word_ = index / 64;
  } else if ((away_bits_ & bit) != 0) {
    Slab(run).DieOfTwice(block);
  }
  away_bits_ |= bit;
  if (fine_) CountFree();
}

void ThreadHeap::HandOver() {
  if (away_run_ == nullptr) return;
  Run& run = *std::exchange(away_run_, nullptr);
  Slab(run).GiveAsOther(away_word_, std::exchange(away_bits_, 0));
  // ORDER  the freed bits  <  the look at has_freed  (the owner: has_freed cleared < looks at bits)
  // WHY    one of the two sees what the other did; else a freed block would be found by nobody.
  // CRASH  nothing of this is on the medium: recovery folds all freed bits.
  // TEST   alloc/heap/heap_parts_test: NothingThatOthersFreeMeanwhileIsLost
  if (!run.has_freed.load() && !run.has_freed.exchange(true)) {
    // The slab keeps its owner until the gate is closed, and before that this is called.   [RUN-1]
    run.owner.load(std::memory_order_acquire)->FreedOf(&run);
  }
  if (fine_) NoteOther(&run);
}

// In a line without room nothing is free.
template <class What>
void ThreadHeap::ForEachLineWithRoom(Run& run, What what) {
  for (uint64_t line = 0; line < BitLineCount(run.size_class); ++line) {
    if (Slab(run).HasRoom(line)) what(line);
  }
}

// Its frees are to be settled one day, too.
void ThreadHeap::NoteOther(Run* run) {
  const size_t hash = (reinterpret_cast<uintptr_t>(run) / sizeof(Run)) % kRecentMax;
  if (recent_[hash] == run) return;
  recent_[hash] = run;
  others_[other_count_++] = run;
  if (other_count_ < kOthersMax) return;
  // Where many slabs are freed of in turn, most are there more than once.
  Run** const begin = others_.data();
  std::sort(begin, begin + other_count_, std::less<Run*>());
  other_count_ = static_cast<size_t>(std::unique(begin, begin + other_count_) - begin);
  if (other_count_ <= kOthersMax / 2) return;
  FlushOthers();
  persist_.Fence();
  ForgetOthers();
}

void ThreadHeap::FlushOthers() {
  for (size_t i = 0; i < other_count_; ++i) FlushFreed(*others_[i]);
}

void ThreadHeap::ForgetOthers() {
  other_count_ = 0;
  recent_ = {};
}

void ThreadHeap::FlushFreed(Run& run) {
  const Slab slab(run);
  ForEachLineWithRoom(run, [&](uint64_t line) { persist_.Flush(slab.LineAt(line), kLineBytes); });
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
  HandOver();
  for (Run* run = unsettled_; run != nullptr; run = run->next_unsettled) FlushFreed(*run);
  FlushOthers();
  persist_.Fence();
  // To own slabs nothing was stored meanwhile.
  for (Run* run = unsettled_; run != nullptr; run = run->next_unsettled) {
    ForEachLineWithRoom(*run, [&](uint64_t line) {
      run->lines[line].RaiseDurable(run->lines[line].stored.load());
    });
  }
  Settled();
}

void ThreadHeap::Settled() {
  while (Run* const run = unsettled_) {
    unsettled_ = run->next_unsettled;
    run->flags &= static_cast<uint8_t>(~Run::kUnsettled);
    run->quick = nullptr;  // so that the next free is noted
  }
  ForgetOthers();
  if (fine_) frees_left_ = kFreesBeforeSettle;
}

}  // namespace morsel::alloc
