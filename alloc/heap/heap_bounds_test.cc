// What a long life costs, and how much of what was freed a power cut brings back: both have bounds,
// whatever else the threads of the heap do.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_crash_testing.h"
#include "alloc/heap/heap_shadow_testing.h"
#include "alloc/heap/heap_testing.h"

namespace morsel::alloc {
namespace {

// A heap that grows when it is full.
struct GrowingHeap {
  explicit GrowingHeap(bool fine) {
    FormatHeap(memory.Place(kSubtreeBytes), 4096, pmem::VolatilePersist());
    heap = Heap::Open(memory.Place(kSubtreeBytes), pmem::VolatilePersist(), fine, false).value();
    heap->range().set_enlarge([](uint64_t size_bytes) -> Result<uint64_t> { return size_bytes; });
  }

  // How many of some thousand calls need more than the short way.
  uint64_t SlowCalls() {
    uint64_t slow = 0;
    for (int i = 0; i < 1000; ++i) {
      void* block = Heap::TryAllocate(heap.get(), 64);
      if (block == nullptr) {
        ++slow;
        block = heap->Allocate(64, 16).value();
      }
      if (Heap::TryFree(heap.get(), block)) continue;
      ++slow;
      heap->Free(block);
    }
    return slow;
  }

  HeapMemory memory{4 * kGiB};
  std::unique_ptr<Heap> heap;
};

TEST(HeapBounds, TheShortWayIsThereHoweverOftenTheGateWasClosed) {
  constexpr int kTimes = kSlowBuild ? 60 : 400;
  const struct {
    const char* name;
    std::function<void(Heap&)> close_gate;
  } kinds[] = {
      {"growth", [](Heap& heap) { (void)heap.Allocate(2 * kMiB, 16).value(); }},
      {"stat", [](Heap& heap) { (void)heap.StopAndRelease().LiveBytes().value(); }},
      {"flush", [](Heap& heap) { heap.StopTheWorld().FlushFrees(); }},
      {"checkpoint", [](Heap& heap) { const auto stopped = heap.StopTheWorld(); }},
      {"thread",
       [](Heap& heap) { std::thread([&] { heap.Free(heap.Allocate(64, 16).value()); }).join(); }},
  };
  for (const bool fine : {false, true}) {
    for (const auto& kind : kinds) {
      SCOPED_TRACE(std::string(kind.name) + (fine ? ", fine" : ", snapshot"));
      GrowingHeap growing(fine);
      (void)growing.SlowCalls();
      kind.close_gate(*growing.heap);
      const uint64_t first = growing.SlowCalls();
      uint64_t most = 0;
      for (int i = 0; i < kTimes; ++i) {
        kind.close_gate(*growing.heap);
        most = std::max(most, growing.SlowCalls());
      }
      // Under the fine contract one more, when frees are flushed.
      EXPECT_LE(most, first + (fine ? 2 : 0));
    }
  }
}

// Fine heaps whose power may be cut, all in slots of this thread.
class ManyHeaps {
 public:
  ManyHeaps(size_t count, uint64_t bytes) {
    for (size_t i = 0; i < count; ++i) {
      memories_.push_back(std::make_unique<HeapMemory>(bytes, TestBase() + i * kGiantBytes));
      shadows_.push_back(std::make_unique<Shadow>(memories_[i]->base(), bytes));
      FormatHeap(memories_[i]->Place(bytes), 4096, shadows_[i]->persist());
      heaps_.push_back(OpenAt(i));
    }
  }
  Heap& operator[](size_t i) { return *heaps_[i]; }

  // Cuts the power of one; how many bytes are live afterwards.
  uint64_t LiveBytesAfterPowerCut(size_t i) {
    heaps_[i].reset();
    shadows_[i]->CutPower();
    heaps_[i] = OpenAt(i);
    EXPECT_EQ(Findings(*heaps_[i]), "");
    return heaps_[i]->StopAndRelease().LiveBytes().value();
  }

 private:
  std::unique_ptr<Heap> OpenAt(size_t i) {
    const HeapPlace place = memories_[i]->Place(memories_[i]->capacity_bytes());
    return Heap::Open(place, shadows_[i]->persist(), true, false).value();
  }

  std::vector<std::unique_ptr<HeapMemory>> memories_;
  std::vector<std::unique_ptr<Shadow>> shadows_;
  std::vector<std::unique_ptr<Heap>> heaps_;
};

// As morsel_malloc() and morsel_free() do it: the short way first.
void* Allocate(Heap& heap, uint64_t size_bytes) {
  void* const block = Heap::TryAllocate(&heap, size_bytes);
  return block != nullptr ? block : heap.Allocate(size_bytes, 16).value();
}
void Free(Heap& heap, void* block) {
  if (!Heap::TryFree(&heap, block)) heap.Free(block);
}

// The two heaps are used in turn. In each turn the thread makes this heap the recent one by a
// malloc, and frees by the short way.
TEST(HeapBounds, FreesUndoneAreBoundedWhereTwoHeapsAreUsedInTurn) {
  constexpr uint64_t kFrees = 4 * kFreesUnflushedMax;
  constexpr uint64_t kSlabs = kFrees / 4000;
  ManyHeaps heaps(2, 16 * kMiB);
  Heap& one = heaps[0];
  Heap& other = heaps[1];
  std::vector<void*> blocks;
  for (uint64_t i = 0; i < kFrees; ++i) blocks.push_back(Allocate(one, 16));
  one.StopTheWorld().FlushFrees();
  // Of every slab in turn, so that the short way knows each of them soon.
  uint64_t freed = 0;
  for (uint64_t first = 0; first < kFrees / kSlabs; ++first) {
    for (uint64_t i = first; i < kFrees; i += kFrees / kSlabs, ++freed) {
      if (freed < 4 * kSlabs) {
        Free(one, blocks[i]);
        continue;
      }
      ASSERT_TRUE(one.Flush(blocks[i], 16).ok());
      void* const recent = Allocate(one, 32);
      Free(one, blocks[i]);
      Free(one, recent);
      Free(other, Allocate(other, 32));
    }
  }
  EXPECT_LE(heaps.LiveBytesAfterPowerCut(0), kFreesUnflushedMax * 16);
}

// What threads do that free blocks until the power is cut.
struct Workload {
  uint64_t block_bytes;
  size_t threads;
  bool others = false;  ///< each thread frees what the one before it has allocated
  bool gates = false;   ///< and from time to time something needs the heap to itself
};

// The threads fill a heap, and free all of it. Returns how many bytes are live after a power cut
// that comes before one of them ends.
uint64_t LiveBytesAfter(const Workload& workload, uint64_t heap_bytes) {
  const HeapMemory memory(heap_bytes);
  Shadow shadow(memory.base(), heap_bytes);
  const HeapPlace place = memory.Place(heap_bytes);
  FormatHeap(place, 64, shadow.persist());
  auto heap = Heap::Open(place, shadow.persist(), true, false).value();
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::vector<void*>> blocks(workload.threads);
  for (size_t i = 0; i < workload.threads; ++i) {
    workers.push_back(std::make_unique<Worker>());
    workers[i]->Do([&] {
      const uint64_t count = heap_bytes / workload.block_bytes / workload.threads;
      while (blocks[i].size() < count) {
        const Result<void*> block = heap->Allocate(workload.block_bytes, 16);
        if (!block) break;
        blocks[i].push_back(*block);
      }
    });
  }
  heap->StopTheWorld().FlushFrees();
  for (size_t i = 0; i < workload.threads; ++i) {
    workers[i]->Do([&] {
      std::vector<void*>& of = blocks[workload.others ? (i + 1) % workload.threads : i];
      size_t freed = 0;
      for (void* const block : of) {
        Free(*heap, block);
        if (workload.gates && ++freed % (of.size() / 8 + 1) == 0)
          (void)heap->StopAndRelease().LiveBytes().value();
      }
    });
  }
  const std::vector<char> left = shadow.durable();
  workers.clear();
  heap.reset();
  shadow.Restore(left);
  const auto after = Heap::Open(place, shadow.persist(), true, false).value();
  EXPECT_EQ(Findings(*after), "");
  return after->StopAndRelease().LiveBytes().value();
}

// What a thread has at hand of a size comes on top of the bound.
uint64_t AtHandBytes(uint64_t block_bytes) {
  if (block_bytes > kBlockBytesMax) return 0;
  const unsigned size_class = ClassOf(block_bytes);
  return 2 * Magazines::Places(size_class) * BlockBytes(size_class);
}

TEST(HeapBounds, BytesThatComeBackAreBoundedForAllThreadsTogether) {
  for (const uint64_t heap_bytes : {4 * kMiB, 128 * kMiB}) {
    const uint64_t bound = FreeBudget::BytesMax(heap_bytes);
    uint64_t most = 0;
    for (const uint64_t block_bytes : {64, 1000, 5000, 20'000, 60'000, 100'000, 2'000'000}) {
      if (heap_bytes / block_bytes > (kSlowBuild ? 10'000u : 70'000u)) continue;
      for (const size_t threads : {1, 3, 12}) {
        for (const bool others : {false, true}) {
          if (kSlowBuild && others != (threads == 3)) continue;
          SCOPED_TRACE(std::to_string(threads) + " threads free blocks of " +
                       std::to_string(block_bytes) + (others ? " bytes of others" : " bytes"));
          const uint64_t live = LiveBytesAfter({block_bytes, threads, others}, heap_bytes);
          EXPECT_LE(live, bound + threads * AtHandBytes(block_bytes));
          most = std::max(most, live);
        }
      }
    }
    EXPECT_GT(most, bound / 8);  // else this shows nothing
  }
}

TEST(HeapBounds, BytesThatComeBackAreBoundedWhereTheGateIsClosedMeanwhile) {
  constexpr uint64_t kHeapBytes = 64 * kMiB;
  for (const uint64_t block_bytes : {1000, 60'000}) {
    for (const size_t threads : {1, 12}) {
      const uint64_t live = LiveBytesAfter({block_bytes, threads, true, true}, kHeapBytes);
      EXPECT_LE(live, FreeBudget::BytesMax(kHeapBytes) + threads * AtHandBytes(block_bytes));
    }
  }
}

// Bytes bound frees of large blocks, their number those of small ones, in one run of frees too.
TEST(HeapBounds, FreesAreFlushedNoSoonerThanTheyMustBe) {
  constexpr uint64_t kHeapBytes = 2 * kGiB;
  constexpr uint64_t kLarge = 60'000;
  constexpr uint64_t kSmall = 16;
  static uint64_t fences;
  static constexpr pmem::PersistTable kCounting = {
      .flush = [](void*, const void*, size_t) {},
      .fence = [](void*) { ++fences; },
  };
  const HeapMemory memory(kHeapBytes);
  const pmem::Persist persist(&kCounting, nullptr);
  FormatHeap(memory.Place(kHeapBytes), 4096, persist);
  const auto heap = Heap::Open(memory.Place(kHeapBytes), persist, true, false).value();
  std::vector<void*> large(2 * FreeBudget::OfThreads(kHeapBytes, false) / kLarge);
  for (void*& block : large) block = Allocate(*heap, kLarge);
  std::vector<void*> small(3 * kFreesUnflushedMax);
  for (void*& block : small) block = Allocate(*heap, kSmall);
  heap->StopTheWorld().FlushFrees();

  uint64_t bytes = 0;
  uint64_t frees = 0;
  uint64_t most_bytes = 0;
  uint64_t most_frees = 0;
  const auto free_one = [&](void* block, uint64_t block_bytes) {
    const uint64_t before = fences;
    Free(*heap, block);
    bytes = fences == before ? bytes + block_bytes : 0;
    frees = fences == before ? frees + 1 : 0;
    most_bytes = std::max(most_bytes, bytes);
    most_frees = std::max(most_frees, frees);
  };
  size_t next = 0;
  for (; next < large.size() / 2; ++next) free_one(large[next], kLarge);
  EXPECT_GT(most_bytes, FreeBudget::OfThreads(kHeapBytes, false) / 3);
  for (void* const block : small) {
    free_one(block, kSmall);
    if (frees % 4096 == 0 && next < large.size()) free_one(large[next++], kLarge);
  }
  EXPECT_LE(most_bytes, FreeBudget::OfThreads(kHeapBytes, false));
  EXPECT_LE(most_frees, kFreesUnflushedMax);
  EXPECT_GT(most_frees, kFreesUnflushedMax / 4);
}

// Each extent gives up most of its units in place.
TEST(HeapBounds, BytesOfShortenedExtentsThatComeBackAreBounded) {
  constexpr uint64_t kHeapBytes = 64 * kMiB;
  ManyHeaps heaps(1, kHeapBytes);
  Heap& heap = heaps[0];
  std::vector<void*> blocks;
  while (const Result<void*> block = heap.Allocate(kMiB, 16)) blocks.push_back(*block);
  heap.StopTheWorld().FlushFrees();
  for (void* const block : blocks) ASSERT_EQ(heap.Reallocate(block, 40'000).value(), block);
  EXPECT_LE(heaps.LiveBytesAfterPowerCut(0),
            blocks.size() * kUnitBytes + FreeBudget::BytesMax(kHeapBytes));
}

// Shares that were lent when the heap was larger do not stay.
TEST(HeapBounds, BytesThatComeBackAreBoundedByWhatTheHeapHasShrunkTo) {
  constexpr uint64_t kLarge = 2 * kGiB;
  constexpr uint64_t kSmall = 64 * kMiB;
  constexpr size_t kThreads = 4;
  const HeapMemory memory(kLarge);
  Shadow shadow(memory.base(), kSmall);
  FormatHeap(memory.Place(kLarge), 64, shadow.persist());
  auto heap = Heap::Open(memory.Place(kLarge), shadow.persist(), true, false).value();
  std::vector<std::unique_ptr<Worker>> workers(kThreads);
  std::vector<std::vector<void*>> blocks(kThreads);
  for (std::unique_ptr<Worker>& worker : workers) {
    worker = std::make_unique<Worker>();
    worker->Do([&] { Free(*heap, heap->Allocate(64, 16).value()); });
  }
  {
    const auto stopped = heap->StopTheWorld();
    ASSERT_TRUE(stopped.Shrink(kSmall).ok());
  }
  for (size_t i = 0; i < kThreads; ++i) {
    workers[i]->Do([&] {
      for (int n = 0; n < 800; ++n) blocks[i].push_back(heap->Allocate(1000, 16).value());
    });
  }
  heap->StopTheWorld().FlushFrees();
  for (size_t i = 0; i < kThreads; ++i) {
    workers[i]->Do([&] {
      for (void* const block : blocks[i]) Free(*heap, block);
    });
  }
  const std::vector<char> left = shadow.durable();
  workers.clear();
  heap.reset();
  shadow.Restore(left);
  heap = Heap::Open(memory.Place(kSmall), shadow.persist(), true, false).value();
  EXPECT_LE(heap->StopAndRelease().LiveBytes().value(),
            FreeBudget::BytesMax(kSmall) + kThreads * AtHandBytes(1000));
}

}  // namespace
}  // namespace morsel::alloc
