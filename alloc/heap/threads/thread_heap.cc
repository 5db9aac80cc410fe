#include "alloc/heap/threads/thread_heap.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <new>
#include <utility>

#include "alloc/heap/threads/grow_array.h"
#include "base/check.h"
#include "os/memory/dense_memory.h"

namespace morsel::alloc {

ThreadHeap::ThreadHeap(const SegmentTable& segments, ThreadHeap* common, pmem::Persist persist,
                       bool fine, bool unclean)
    : segments_(segments),
      common_(common),
      persist_(persist),
      fine_(fine),
      unclean_(fine && unclean),
      lent_bytes_(fine ? 0 : kUnbounded),
      bytes_left_(lent_bytes_),
      bytes_counted_from_(lent_bytes_),
      bytes_left_before_(lent_bytes_) {}

ThreadHeap::~ThreadHeap() {
  for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
    if (caches_[size_class] == nullptr) continue;
    os::TheDenseSource().Give(caches_[size_class], ClassCache::BytesFor(size_class));
  }
}

bool ThreadHeap::Prepare(unsigned size_class) {
  if (caches_[size_class] != nullptr) return true;
  void* const memory = os::TheDenseSource().Take(ClassCache::BytesFor(size_class));
  if (memory == nullptr) return false;
  void** const words = reinterpret_cast<void**>(static_cast<ClassCache*>(memory) + 1);
  std::fill_n(words, Magazines::Words(size_class), nullptr);
  caches_[size_class] = new (memory) ClassCache(ready_[size_class], words, size_class);
  return true;
}

// If the magazine is empty, the blocks that were freed are handed out next. If they are so few that
// they would soon run out again, the magazine is refilled from slabs first.
void* ThreadHeap::Take(unsigned size_class) {
  constexpr uint64_t kPartWorthIt = 4;
  if (caches_[size_class] == nullptr) return nullptr;
  ClassCache& cache = *caches_[size_class];
  Magazines& magazines = cache.magazines;
  if (void* const block = magazines.TryTake(); block != nullptr) return block;
  if (magazines.FreedCount() < DivideUp(magazines.places(), kPartWorthIt)) {
    void* const block = Refill(cache, slot == nullptr ? 1 : magazines.places());
    if (block != nullptr) return block;
  }
  magazines.Exchange();
  return magazines.TryTake();
}

// Slabs of small blocks take turns, and each is used up word by word. While it is another slab's
// turn, blocks of a slab are freed, so that its words have more to give the next time. A slab of
// large blocks has few words and takes much room. There it matters more that some slabs become
// empty, so the lowest ones come first.
void* ThreadHeap::Refill(ClassCache& cache, uint64_t count) {
  for (bool looked = false;;) {
    if (cache.segment != nullptr) {
      if (void* const block = TakeFrom(cache, count); block != nullptr) return block;
      Leave(cache, /*swept=*/true);
    }
    if (!looked && cache.listed.first() == nullptr) {
      looked = true;
      DrainRemote();
    }
    Segment* const first = cache.listed.first();
    if (first == nullptr) return nullptr;
    cache.segment =
        first->block_bytes > kSmallBytesMax ? cache.listed.PopLow() : cache.listed.Pop();
    cache.next_word = cache.segment->first_block / 64;
    cache.segment->flags &= static_cast<uint8_t>(~Segment::kFreed);
    cache.segment->quick = nullptr;  // so that the next free calls Touched()
  }
}

// Takes up to `count` blocks of the class cache's slab. Returns one and makes the others ready;
// returns nullptr if the slab has none left.
void* ThreadHeap::TakeFrom(ClassCache& cache, uint64_t count) {
  Segment& segment = *cache.segment;
  const uint64_t bytes = segment.block_bytes;
  const uint64_t word_end = Slab(segment).WordCount();
  Magazines::Filling filling(cache.magazines);
  uint64_t left = count;
  while (left > 0 && cache.next_word < word_end) {
    uint64_t taken = Slab(segment).Take(cache.next_word, left);
    if (taken == 0) {
      ++cache.next_word;
      continue;
    }
    char* const begin = Slab(segment).BlockAt(cache.next_word * 64);
    while (taken != 0) {
      const int low = std::countr_zero(taken);
      const int together = std::countr_one(taken >> low);
      left -= static_cast<uint64_t>(together);
      filling.Add(begin + static_cast<uint64_t>(low) * bytes, bytes, together);
      taken &= ~(((together < 64 ? uint64_t{1} << together : uint64_t{0}) - 1) << low);
    }
  }
  filling.End();
  live_change_ += static_cast<int64_t>((count - left) * bytes);
  return cache.magazines.TryTake();
}

void ThreadHeap::PutBack() {
  FlushRemote();
  for (ClassCache* const cache : caches_) {
    if (cache == nullptr) continue;
    for (int i = 0; i < 2; ++i, cache->magazines.Exchange()) {
      while (void* const block = cache->magazines.TryTake()) {
        Segment& segment = *segments_.At(block);
        Slab(segment).GiveOrDie(block);
        Touched(segment);
        CountFree(segment.block_bytes);
      }
    }
  }
}

void ThreadHeap::Give(Segment& segment, void* block) {
  if (caches_[segment.size_class]->magazines.WasGivenLast(block)) Slab(segment).DieOfTwice(block);
  Slab(segment).GiveOrDie(block);
  Touched(segment);
  CountFree(segment.block_bytes);
}

bool ThreadHeap::HasAtHand(const Segment& segment, const void* address) const {
  const uint64_t offset = static_cast<uint64_t>(static_cast<const char*>(address) - segment.start);
  const uint64_t index = segment.PlaceOf(offset).index;
  return segment.magazines->Has(segment.start + index * segment.block_bytes);
}

void ThreadHeap::List(ClassCache& cache, Segment* segment) {
  if (segment->Has(Segment::kAtHand)) return;
  segment->flags |= Segment::kAtHand;
  cache.listed.Append(segment);
}

// Takes the slab out of the class cache. It joins the slabs with room, unless all of its words were
// looked at (`swept`) and nothing was freed since.
void ThreadHeap::Leave(ClassCache& cache, bool swept) {
  Segment* const segment = cache.segment;
  if (segment == nullptr) return;
  cache.segment = nullptr;
  segment->flags &= static_cast<uint8_t>(~Segment::kAtHand);
  if (!swept || segment->Has(Segment::kFreed)) {
    List(cache, segment);
  } else {
    segment->quick = nullptr;
  }
}

void ThreadHeap::AbandonSlab(Segment* segment) {
  ClassCache& cache = *caches_[segment->size_class];
  if (cache.segment == segment) {
    cache.segment = nullptr;
  } else {
    cache.listed.Remove(segment);
  }
  Disown(segment, nullptr);
}

Segment* ThreadHeap::LoseHalfEmpty(unsigned size_class) {
  constexpr int kLooks = 4;
  DrainRemote();  // what others have freed of a slab is merged by its owner, who is this one
  if (caches_[size_class] == nullptr) return nullptr;
  ClassCache& cache = *caches_[size_class];
  Segment* segment = cache.segment != nullptr ? cache.segment : cache.listed.first();
  for (int i = 0; i < kLooks && segment != nullptr; ++i) {
    if (2 * Slab(*segment).UsedCount() <= segment->capacity()) {
      FlushFrees();  // the next owner does not flush what was freed before
      AbandonSlab(segment);
      cache.has_lost = true;
      return segment;
    }
    segment = segment == cache.segment ? cache.listed.first() : segment->next;
  }
  return nullptr;
}

// Makes sure that the frees of an own slab will be flushed.
void ThreadHeap::NoteUnflushed(Segment* segment) {
  if (segment->Has(Segment::kUnflushed)) return;
  segment->flags |= Segment::kUnflushed;
  if (!fine_) return;
  NoteSize(segment->block_bytes);
  segment->next_unflushed = unflushed_;
  unflushed_ = segment;
}

// A block of this own slab was freed.
void ThreadHeap::Touched(Segment& segment) {
  segment.flags |= Segment::kFreed;
  List(*caches_[segment.size_class], &segment);
  NoteUnflushed(&segment);
  touched_.Add(segment);
  segment.quick = slot;
}

void ThreadHeap::Lease(Segment* segment, bool has_room) {
  // Its frees are flushed with those of whoever has freed.
  MORSEL_CHECK(!fine_ || !segment->Has(Segment::kUnflushed));
  ClassCache& cache = *caches_[segment->size_class];
  segment->magazines = &cache.magazines;
  segment->owner.store(this, std::memory_order_release);
  if (has_room) List(cache, segment);
}

// A thread that frees another's blocks mostly frees neighbours one after the other, so that one
// store serves several.
void ThreadHeap::FreeRemote(Segment& segment, void* block) {
  if (TryFreeRemote(segment, block)) return;
  const uint64_t index = Slab(segment).LiveIndex(block, "free");
  const uint64_t bit = uint64_t{1} << (index % 64);
  const size_t number = RemoteOf(segment.size_class);
  Remote& remote = remotes_[number];
  if (remote.segment != &segment || remote.word != index / 64) {
    FlushRemote(remote);
    remote.segment = &segment;
    remote.word = index / 64;
    remotes_used_ |= uint64_t{1} << number;
  } else if ((remote.bits & bit) != 0) {
    Slab(segment).DieOfTwice(block);
  }
  remote.bits |= bit;
  NoteSize(segment.block_bytes);
  CountFree(segment.block_bytes);
}

void ThreadHeap::FlushRemote() {
  for (uint64_t used = std::exchange(remotes_used_, 0); used != 0; used &= used - 1) {
    FlushRemote(remotes_[static_cast<size_t>(std::countr_zero(used))]);
  }
}

void ThreadHeap::FlushRemote(Remote& remote) {
  if (remote.segment == nullptr) return;
  Segment& segment = *std::exchange(remote.segment, nullptr);
  Slab(segment).GiveAsOther(remote.word, std::exchange(remote.bits, 0));
  // ORDER  the freed bits  <  the look at has_freed  (the owner: has_freed cleared < looks at bits)
  // WHY    either this thread sees has_freed cleared, or the owner sees the freed bits. Otherwise
  //        nobody would find the freed blocks.
  // CRASH  has_freed is not on the medium: recovery merges all freed bits anyway.
  // TEST   alloc/heap/heap_parts_test: NothingThatOthersFreeConcurrentlyIsLost
  if (!segment.has_freed.load() && !segment.has_freed.exchange(true)) NotifyOwner(&segment);
  if (fine_) NoteOther(&segment);
}

// Makes sure that the frees of another thread's slab will be flushed.
void ThreadHeap::NoteOther(Segment* segment) {
  const size_t hash = (reinterpret_cast<uintptr_t>(segment) / sizeof(Segment)) % kRecentMax;
  if (recent_[hash] == segment) return;
  if (other_count_ == other_places_ && !GrowOthers()) {
    FlushFreed(*segment);
    return PersistOthers();
  }
  recent_[hash] = segment;
  others_[other_count_++] = segment;
  if (other_count_ < kOthersMax) return;
  // The array is full. If the thread frees blocks of many slabs in turn, most are there more than
  // once.
  Segment** const begin = others_.get();
  std::sort(begin, begin + other_count_, std::less<Segment*>());
  other_count_ = static_cast<size_t>(std::unique(begin, begin + other_count_) - begin);
  if (other_count_ <= kOthersMax / 2) return;
  PersistOthers();
}

void ThreadHeap::PersistOthers() {
  FlushOthers();
  persist_.Fence();
  ForgetOthers();
}

bool ThreadHeap::GrowOthers() {
  const size_t more = std::max(kOthersMin, 2 * other_places_);
  if (!GrowArray(others_, other_count_, more)) return false;
  other_places_ = more;
  return true;
}

void ThreadHeap::FlushOthers() {
  for (size_t i = 0; i < other_count_; ++i) FlushFreed(*others_[i]);
}

void ThreadHeap::ForgetOthers() {
  if (other_count_ == 0) return;  // nor is any of them recent
  other_count_ = 0;
  recent_ = {};
}

// Returns which lines it has flushed: bit i is for line i.
uint16_t ThreadHeap::FlushFreed(Segment& segment) {
  const Slab slab(segment);
  uint16_t flushed = 0;
  for (uint64_t line = 0; line < BitLineCount(segment.size_class); ++line) {
    if (!slab.HasRoom(line)) continue;  // nothing is free in it
    persist_.Flush(slab.LineAt(line), kLineBytes);
    flushed |= static_cast<uint16_t>(1u << line);
  }
  return flushed;
}

// Returns false if the thread has ended.
bool ThreadHeap::PushFreed(Segment* segment) {
  Segment* first = freed_.load(std::memory_order_relaxed);
  do {
    if (first == Closed()) return false;
    segment->next_freed = first;
  } while (!freed_.compare_exchange_weak(first, segment, std::memory_order_release,
                                         std::memory_order_relaxed));
  return true;
}

// Has the slab's owner look at what others have freed of it; `has_freed` is set. The slab has an
// owner: it loses it only while the gate is closed, and closing the gate calls FlushRemote(), and
// DrainRemote() comes before a slab is released. But if its owner has ended it may get another one
// meanwhile, which hears of it from Drain().                                              [RUN-1]
void ThreadHeap::NotifyOwner(Segment* segment) {
  ThreadHeap* const owner = segment->owner.load(std::memory_order_acquire);
  if (!owner->PushFreed(segment)) (void)common_->PushFreed(segment);
}

// Frees what was freed of the slabs in a list of those that had this owner.
void ThreadHeap::Drain(Segment* freed) {
  // The oldest first: it is used first, while others may still free blocks of the latest.
  Segment* oldest = nullptr;
  while (freed != nullptr) {
    Segment* const next = std::exchange(freed->next_freed, oldest);
    oldest = std::exchange(freed, next);
  }
  for (Segment *segment = oldest, *next; segment != nullptr; segment = next) {
    next = segment->next_freed;  // others may set it once has_freed is cleared
    const ThreadHeap* const owner = segment->owner.load(std::memory_order_relaxed);
    // Those that are the common one's already may be of a class that it has had no slab of yet.
    const bool takes_over = this == common_ && owner->ended();
    if (takes_over && !Prepare(segment->size_class)) {
      (void)PushFreed(segment);  // there is no memory now
      continue;
    }
    if (takes_over) Lease(segment, /*has_room=*/false);
    if (owner != this && !takes_over) {
      NotifyOwner(segment);
      continue;
    }
    segment->has_freed.exchange(false);
    Slab(*segment).Fold();
    Touched(*segment);
  }
}

void ThreadHeap::FlushFrees() {
  FlushRemote();
  for (Segment* one = unflushed_; one != nullptr; one = one->next_unflushed) {
    one->flushing = FlushFreed(*one);
  }
  FlushOthers();
  persist_.Fence();
  // ORDER  a line is flushed  <  the fence  <  it counts as durable
  // WHY    which lines were flushed is decided once, above: another thread may have freed a block
  //        meanwhile in a line that was full, and that was not flushed.               [P2]
  // CRASH  nothing of this is on the medium.
  // TEST   alloc/heap/heap_order_test: AFreeByAnotherThreadMeanwhileMakesNoLineDurable
  for (Segment* one = unflushed_; one != nullptr; one = one->next_unflushed) {
    for (uint64_t line = 0; line < BitLineCount(one->size_class); ++line) {
      // This thread, which alone counts stores to its slabs, has made none meanwhile.
      if ((one->flushing >> line & 1) != 0) {
        one->lines[line].RaiseDurable(one->lines[line].stored.load());
      }
    }
  }
  FreesFlushed();
}

void ThreadHeap::FreesFlushed() {
  while (Segment* const segment = unflushed_) {
    unflushed_ = segment->next_unflushed;
    segment->flags &= static_cast<uint8_t>(~Segment::kUnflushed);
    segment->quick = nullptr;  // so that the next free calls Touched()
  }
  ForgetOthers();
  BeginCounting();
}

// Only bytes are counted. That they are not too many blocks is certain while they are no more than
// so many of the smallest may have.
void ThreadHeap::BeginCounting() {
  smallest_freed_bytes_ = kNoneFreed;
  const int64_t bytes =
      fine_ ? std::min<int64_t>(lent_bytes_, kFreesBeforeFlush * kBlockBytesMin) : lent_bytes_;
  SetBytesLeft(unclean_ ? 0 : bytes);
  bytes_counted_from_ = bytes_left_;
}

// Whether what was freed is less than was lent, and so few blocks that as many more bytes may be
// freed, of the smallest blocks, as are granted here.
bool ThreadHeap::MayFreeMore() {
  constexpr int64_t kWorthwhileBytes = kFreesBeforeFlush * kBlockBytesMin / 8;
  if (unclean_) return false;
  const int64_t freed_bytes = bytes_counted_from_ - bytes_left_;
  const auto blocks_max =
      static_cast<int64_t>(static_cast<uint64_t>(freed_bytes) / smallest_freed_bytes_) + 1;
  const int64_t more = std::min<int64_t>(
      (static_cast<int64_t>(kFreesBeforeFlush) - blocks_max) * static_cast<int64_t>(kBlockBytesMin),
      lent_bytes_ - freed_bytes);
  if (more < kWorthwhileBytes) return false;
  const int64_t added = more - bytes_left_;
  bytes_left_ += added;
  bytes_left_before_ += added;
  bytes_counted_from_ += added;
  return true;
}

}  // namespace morsel::alloc
