// What threads hold of a heap: others get it back, none of it is lost, and one thread can
// have the heap to itself.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_testing.h"
#include "base/checksum.h"
#include "base/mutex.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kBytes = 4 * kMiB;
constexpr int kRounds = kSlowBuild ? 5 : 40;

class HeapPartsTest : public testing::Test {
 protected:
  void SetUp() override {
    FormatHeap(memory_.Place(kBytes), 4096, pmem::VolatilePersist());
    // The size is fixed, so that a block that is lost would be missed.
    heap_ = Heap::Open(memory_.Place(kBytes), pmem::VolatilePersist(), true, false).value();
  }

  // Allocates all that the heap has, in blocks of that size.
  std::vector<void*> TakeAll(uint64_t size_bytes) {
    std::vector<void*> blocks;
    for (;;) {
      const Result<void*> block = heap_->Allocate(size_bytes, 16);
      if (!block) {
        EXPECT_EQ(block.error(), Code::kNoSpace);
        return blocks;
      }
      blocks.push_back(*block);
    }
  }

  // Afterwards the thread has been inside the heap, and may allocate by its key.
  void BeInside() { heap_->Free(heap_->Allocate(64, 16).value()); }

  size_t CountAll(uint64_t size_bytes) {
    const std::vector<void*> blocks = TakeAll(size_bytes);
    FreeAll(blocks);
    return blocks.size();
  }

  void FreeAll(const std::vector<void*>& blocks) {
    for (void* const block : blocks) heap_->Free(block);
  }

  HeapMemory memory_{kBytes};
  std::unique_ptr<Heap> heap_;
};

// More heaps, beside the fixture's.
class MoreHeaps {
 public:
  explicit MoreHeaps(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      memories_.push_back(
          std::make_unique<HeapMemory>(kSubtreeBytes, TestBase() + (i + 1) * kGiantBytes));
      const HeapPlace place = memories_[i]->Place(kSubtreeBytes);
      FormatHeap(place, 4096, pmem::VolatilePersist());
      heaps_.push_back(Heap::Open(place, pmem::VolatilePersist(), true, false).value());
    }
  }
  Heap& operator[](size_t i) const { return *heaps_[i]; }
  Heap& back() const { return *heaps_.back(); }

 private:
  std::vector<std::unique_ptr<HeapMemory>> memories_;
  std::vector<std::unique_ptr<Heap>> heaps_;
};

// Frees cause few fences, even where they are scattered over the slabs of another thread, because
// they are flushed together.
TEST(HeapPartsCostTest, ScatteredFreesOfOthersBlocksAreFlushedTogether) {
  static uint64_t fences;
  fences = 0;
  static constexpr pmem::PersistTable kCounting = {
      .flush = [](void*, const void*, size_t) {},
      .fence = [](void*) { ++fences; },
  };
  constexpr uint64_t kHeapBytes = 32 * kMiB;
  constexpr size_t kBlocks = 24'000;  // in some 380 slabs
  const HeapMemory memory(kHeapBytes);
  const pmem::Persist persist(&kCounting, nullptr);
  FormatHeap(memory.Place(kHeapBytes), 4096, persist);
  const auto heap = Heap::Open(memory.Place(kHeapBytes), persist, true, false).value();
  std::vector<void*> blocks;
  for (size_t i = 0; i < kBlocks; ++i) {
    const Result<void*> block = heap->Allocate(1024, 16);
    ASSERT_TRUE(block) << LastError() << i;
    blocks.push_back(*block);
  }
  uint64_t fences_of_frees = 0;
  std::thread([&] {
    heap->Free(*heap->Allocate(1024, 16));
    const uint64_t before = fences;
    for (size_t i = 0; i < kBlocks; ++i) heap->Free(blocks[i * 61 % kBlocks]);
    fences_of_frees = fences - before;
  }).join();
  // At most one fence for a quarter of the bytes after which one of two threads flushes its frees.
  const uint64_t share = FreeBudget::OfThreads(kHeapBytes, false) / 4;
  EXPECT_LE(fences_of_frees, kBlocks * 1024 / (share / 4));
}

// Tables and arrays are persisted a few words at a time, by many threads. If the second flush took
// the lock, which is held then, this test would not end.
TEST_F(HeapPartsTest, PersistingAnExtentAgainTakesNoLock) {
  char* const extent = static_cast<char*>(*heap_->Allocate(kMiB, 16));
  std::atomic<int> turn{0};
  std::thread thread([&] {
    heap_->Free(*heap_->Allocate(64, 16));  // so that it has a slot
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(heap_->Flush(extent + 70'000, 200).ok());
      heap_->Fence();
      if (turn.fetch_add(1) == 0) turn.wait(1);
    }
  });
  while (turn.load() == 0) std::this_thread::yield();
  {
    const auto lock = heap_->Lock();
    turn = 2;
    turn.notify_all();
    while (turn.load() == 2) std::this_thread::yield();
  }
  thread.join();
  heap_->Free(extent);
  // Slabs take the extent's place.
  const size_t count = CountAll(256);
  EXPECT_GT(count, kBytes / 2 / 208);
}

TEST_F(HeapPartsTest, NothingThatOthersFreeIsLost) {
  const size_t count = CountAll(256);
  std::vector<void*> blocks;
  std::atomic<int> turn{0};
  std::thread other([&] {
    for (int round = 0; round < kRounds; ++round) {
      while (turn.load() != 2 * round + 1) std::this_thread::yield();
      FreeAll(blocks);
      turn.store(2 * round + 2);
    }
  });
  for (int round = 0; round < kRounds; ++round) {
    while (turn.load() != 2 * round) std::this_thread::yield();
    blocks = TakeAll(256);
    EXPECT_EQ(blocks.size(), count) << "round " << round;
    turn.store(2 * round + 1);
  }
  other.join();
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
}

// Each thread frees blocks of the other's slabs, while the other allocates from them.
TEST_F(HeapPartsTest, NothingThatOthersFreeConcurrentlyIsLost) {
  const size_t count = CountAll(64);
  constexpr size_t kSlots = 1024;
  std::vector<std::atomic<void*>> slots(kSlots);
  const auto work = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < kRounds * 2000; ++i) {
      void* const block = heap_->Allocate(64, 16).value();
      if (void* const old = slots[random() % kSlots].exchange(block)) heap_->Free(old);
    }
  };
  std::thread one(work, 1);
  std::thread other(work, 2);
  one.join();
  other.join();
  for (std::atomic<void*>& slot : slots) {
    if (slot.load() != nullptr) heap_->Free(slot.load());
  }
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
  EXPECT_EQ(Findings(*heap_), "");
  EXPECT_EQ(TakeAll(64).size(), count);
}

TEST_F(HeapPartsTest, OthersGetWhatAnEndedThreadHeld) {
  const size_t count = CountAll(3000);
  for (int round = 0; round < kRounds; ++round) {
    std::vector<void*> blocks;
    std::thread([&] {
      blocks = TakeAll(3000);
      // Some of them are free when the thread ends.
      for (size_t i = 0; i < count / 2; ++i) {
        heap_->Free(blocks.back());
        blocks.pop_back();
      }
    }).join();
    const std::vector<void*> rest = TakeAll(3000);
    EXPECT_EQ(blocks.size() + rest.size(), count);
    FreeAll(blocks);  // they lie in slabs that the ended thread held
    FreeAll(rest);
  }
  EXPECT_EQ(TakeAll(100'000).size(), (kBytes / kUnitBytes - 1) / 2) << "empty slabs are given back";
}

TEST_F(HeapPartsTest, OthersGetWhatARunningThreadHoldsBeforeNoSpace) {
  std::atomic<int> step{0};
  std::thread holder([&] {
    const std::vector<void*> blocks = TakeAll(1000);
    FreeAll(blocks);
    void* const kept = heap_->Allocate(1000, 16).value();
    step.store(1);
    while (step.load() != 2) std::this_thread::yield();
    heap_->Free(kept);
  });
  while (step.load() != 1) std::this_thread::yield();
  const std::vector<void*> large = TakeAll(100'000);
  EXPECT_GE(large.size(), (kBytes / kUnitBytes - 2) / 2);
  const std::vector<void*> small = TakeAll(1000);
  EXPECT_GE(small.size(), 60u) << "the rest of the slab that the other thread allocates from";
  step.store(2);
  holder.join();
  FreeAll(large);
  FreeAll(small);
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
}

TEST_F(HeapPartsTest, ClosingTheGateWaitsForWhoIsInside) {
  BeInside();
  ASSERT_TRUE(my_state->recent.Enter(heap_.get()));
  std::atomic<bool> alone{false};
  std::thread other([&] {
    const auto stopped = heap_->StopTheWorld();
    alone.store(true);
  });
  while (my_state->recent.Is(heap_.get())) std::this_thread::yield();
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  EXPECT_FALSE(alone.load());
  my_state->recent.Leave();
  other.join();
  EXPECT_TRUE(alone.load());
}

TEST_F(HeapPartsTest, NobodyIsInsideWhileTheGateIsClosed) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      std::array<void*, 50> blocks{};
      while (!stop.load()) {
        for (void*& block : blocks) {
          block = Heap::TryAllocate(heap_.get(), 48);
          if (block == nullptr) block = heap_->Allocate(48, 16).value();
        }
        for (void* const block : blocks) {
          if (!Heap::TryFree(heap_.get(), block)) heap_->Free(block);
        }
      }
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    const auto stopped = heap_->StopTheWorld();
    const Sum128 before = Checksum128(memory_.base(), kBytes);
    std::this_thread::yield();
    const Sum128 after = Checksum128(memory_.base(), kBytes);
    EXPECT_TRUE(before.low == after.low && before.high == after.high);
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
}

// A heap is found by its present key and by no earlier one. A heap that is gone is found by none.
TEST_F(HeapPartsTest, AHeapIsFoundByItsPresentKeyOnly) {
  const auto take = [](const void* key) { return Heap::TryAllocate(key, 64); };
  BeInside();
  void* const next = take(heap_.get());
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(take(nullptr), nullptr);
  const int key = 0;
  heap_->set_key(&key);
  EXPECT_EQ(take(heap_.get()), nullptr);
  EXPECT_EQ(take(&key), nullptr) << "nobody has been inside";
  BeInside();
  void* const third = take(&key);
  ASSERT_NE(third, nullptr);
  EXPECT_FALSE(Heap::TryFree(heap_.get(), third));
  EXPECT_TRUE(Heap::TryFree(&key, third));
  heap_->Free(next);
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
  EXPECT_EQ(take(&key), nullptr) << "one had the heap to himself";
  BeInside();
  EXPECT_NE(take(&key), nullptr);
  heap_.reset();
  EXPECT_EQ(take(&key), nullptr);
}

// Blocks are freed in a slab whose thread has ended. The thread that gets the slab flushes these
// frees.
TEST(HeapPartsCostTest, FreesInAnEndedThreadsSlabAreFlushed) {
  static uint64_t watched;
  static uint64_t flushes;
  static constexpr pmem::PersistTable kCounting = {
      .flush =
          [](void*, const void* address, size_t) {
            if (reinterpret_cast<uint64_t>(address) / kUnitBytes == watched) ++flushes;
          },
      .fence = [](void*) {},
  };
  constexpr uint64_t kHeapBytes = 4 * kMiB;
  const HeapMemory memory(kHeapBytes);
  const pmem::Persist persist(&kCounting, nullptr);
  FormatHeap(memory.Place(kHeapBytes), 4096, persist);
  const auto heap = Heap::Open(memory.Place(kHeapBytes), persist, true, false).value();
  std::vector<void*> blocks(900);
  std::atomic<int> step{0};
  std::thread ends([&] {
    for (void*& block : blocks) block = heap->Allocate(64, 16).value();
    step.store(1);
    while (step.load() != 2) std::this_thread::yield();
  });
  while (step.load() != 1) std::this_thread::yield();
  heap->Free(heap->Allocate(5000, 16).value());  // so that this thread has a slot
  for (size_t i = 0; i < 300; ++i) heap->Free(blocks[i]);
  step.store(2);
  ends.join();
  watched = reinterpret_cast<uint64_t>(blocks[0]) / kUnitBytes;
  // This thread gets the slab, with the room that it has.
  std::vector<void*> mine;
  for (int i = 0; i < 300; ++i) mine.push_back(heap->Allocate(64, 16).value());
  ASSERT_EQ(reinterpret_cast<uint64_t>(mine[0]) / kUnitBytes, watched);
  for (int round = 0; round < 2; ++round) {
    flushes = 0;
    for (uint64_t frees = 0; frees < kFreesUnflushedMax; frees += mine.size() / 2) {
      for (void* const block : mine) heap->Free(block);
      for (void*& block : mine) block = heap->Allocate(64, 16).value();
    }
    EXPECT_GT(flushes, 0u) << round;
  }
}

// These are more slabs than a thread can note before it flushes.
TEST(HeapPartsCostTest, FreesOfVeryManySlabsOfOthersAreAllNoted) {
  constexpr uint64_t kHeapBytes = 512 * kMiB;
  constexpr size_t kSlabs = 5000;
  const HeapMemory memory(kHeapBytes);
  FormatHeap(memory.Place(kHeapBytes), 4096, pmem::VolatilePersist());
  const auto heap =
      Heap::Open(memory.Place(kHeapBytes), pmem::VolatilePersist(), true, false).value();
  std::vector<void*> blocks;  // one of each slab
  while (blocks.size() < kSlabs) {
    void* const block = heap->Allocate(8192, 16).value();
    const auto unit = [](const void* at) { return reinterpret_cast<uint64_t>(at) / kUnitBytes; };
    if (blocks.empty() || unit(block) != unit(blocks.back())) blocks.push_back(block);
  }
  const uint64_t before = heap->StopAndRelease().LiveBytes().value();
  std::thread([&] {
    heap->Free(heap->Allocate(100, 16).value());
    for (void* const block : blocks) heap->Free(block);
  }).join();
  EXPECT_EQ(heap->StopAndRelease().LiveBytes().value(), before - kSlabs * 8192);
  EXPECT_EQ(Findings(*heap), "");
}

// A server opens a morsel for each request, beside one that stays open. However often it did so,
// a thread goes from one to the other without the lock.
TEST_F(HeapPartsTest, HeapsThatAreOpenNeverShareASlot) {
  BeInside();
  for (int opening = 0; opening < 140; ++opening) {
    const MoreHeaps heaps(1);
    heaps[0].Free(heaps[0].Allocate(64, 16).value());
    for (int turn = 0; turn < 3; ++turn) {
      void* const one = heap_->TakeInside(ClassOf(64));
      void* const other = heaps[0].TakeInside(ClassOf(64));
      ASSERT_TRUE(one != nullptr && other != nullptr) << "opening " << opening;
      ASSERT_TRUE(heap_->FreeInside(one) && heaps[0].FreeInside(other));
    }
  }
}

TEST_F(HeapPartsTest, AThreadUsesManyHeapsInTurnWithoutTheirLocks) {
  constexpr size_t kHeaps = 5 * kFirstSlots;
  const MoreHeaps heaps(kHeaps);
  for (size_t i = 0; i < kHeaps; ++i) heaps[i].Free(heaps[i].Allocate(64, 16).value());
  for (size_t i = 0; i < kHeaps; ++i) {
    const auto held = heaps[i].Lock();
    void* const block = heaps[i].TakeInside(ClassOf(64));
    ASSERT_NE(block, nullptr) << i;
    ASSERT_TRUE(heaps[i].FreeInside(block)) << i;
  }
}

// Threads have parts of a heap that is closed. The heap that is opened next gets its slots. Nothing
// in them is its own, and it is not told when those threads end.
TEST_F(HeapPartsTest, AHeapInAClosedHeapsSlotsBeginsAnew) {
  BeInside();
  const size_t count = CountAll(3000);
  std::atomic<int> step{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      BeInside();
      step.fetch_add(1);
      while (step.load() < 10) std::this_thread::yield();
      // One of them uses the second heap, too.
      EXPECT_EQ(heap_->TakeInside(ClassOf(64)), nullptr);
      if (i == 0) BeInside();
    });
  }
  while (step.load() != 3) std::this_thread::yield();
  ASSERT_TRUE(heap_->StopAndRelease().Close().ok());
  heap_.reset();
  heap_ = Heap::Open(memory_.Place(kBytes), pmem::VolatilePersist(), true, false).value();
  BeInside();
  EXPECT_EQ(CountAll(3000), count);
  step.store(10);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(CountAll(3000), count);
  EXPECT_EQ(Findings(*heap_), "");
}

// A thread delays its frees of others' blocks. They are stored when another thread counts what is
// live, and when their thread ends.
TEST_F(HeapPartsTest, DelayedFreesOfOthersBlocksAreSeen) {
  std::vector<void*> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(heap_->Allocate(64, 16).value());
  std::atomic<int> step{0};
  std::thread other([&] {
    heap_->Free(heap_->Allocate(5000, 16).value());  // so that it has a slot
    for (int i = 0; i < 4; ++i) heap_->Free(blocks[static_cast<size_t>(i)]);
    step.store(1);
    while (step.load() != 2) std::this_thread::yield();
    for (int i = 4; i < 7; ++i) heap_->Free(blocks[static_cast<size_t>(i)]);
  });
  while (step.load() != 1) std::this_thread::yield();
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 6 * 64u);
  step.store(2);
  other.join();
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 3 * 64u);
  for (size_t i = 7; i < 10; ++i) heap_->Free(blocks[i]);
  EXPECT_EQ(Findings(*heap_), "");
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
}

TEST_F(HeapPartsTest, OneThreadUsesMoreHeapsThanItsFirstTableHasSlots) {
  constexpr size_t kHeaps = kFirstSlots + 3;
  const MoreHeaps heaps(kHeaps);
  std::vector<std::vector<void*>> blocks(kHeaps);
  for (int round = 0; round < 100; ++round) {
    for (size_t i = 0; i < kHeaps; ++i) {
      blocks[i].push_back(heaps[i].Allocate(128, 16).value());
      if (round % 3 == 2) {
        heaps[i].Free(blocks[i].back());
        blocks[i].pop_back();
        ASSERT_TRUE(heaps[i].Flush(blocks[i].back(), 100).ok());
      }
    }
    for (size_t i = 0; i < kHeaps; ++i) heaps[i].Fence();
  }
  for (size_t i = 0; i < kHeaps; ++i) {
    EXPECT_EQ(Findings(heaps[i]), "");
    EXPECT_EQ(heaps[i].StopAndRelease().LiveBytes().value(), blocks[i].size() * 128);
  }
}

// Constructed before its thread uses the heap, and so destroyed after the thread has abandoned its
// part of it.
struct FreesLate {
  Heap* heap = nullptr;
  void* block = nullptr;
  ~FreesLate() {
    if (heap == nullptr) return;
    heap->Free(block);
    void* const another = heap->Allocate(64, 16).value();
    EXPECT_TRUE(heap->Flush(another, 64).ok());
    heap->Fence();
    heap->Free(another);
  }
};

TEST_F(HeapPartsTest, AnEndingThreadMayStillAllocateAndFree) {
  for (int round = 0; round < kRounds; ++round) {
    std::thread([&] {
      static thread_local FreesLate late;
      late.heap = nullptr;
      late.block = heap_->Allocate(64, 16).value();
      late.heap = heap_.get();
    }).join();
  }
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
  EXPECT_EQ(Findings(*heap_), "");
}

}  // namespace
}  // namespace morsel::alloc
