// Several threads use one heap. They hand blocks over, and persist and free blocks that
// others have allocated.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_testing.h"
#include "base/check.h"
#include "base/mutex.h"

namespace morsel::alloc {
namespace {

constexpr int kThreads = 4;
constexpr int kOperations = kSlowBuild ? 4'000 : 30'000;

struct Block {
  char* begin = nullptr;
  uint64_t size_bytes = 0;
  uint64_t tag = 0;
};

void Fill(const Block& block) {
  std::memset(block.begin, static_cast<int>(block.tag & 255), block.size_bytes);
  if (block.size_bytes >= 8) std::memcpy(block.begin, &block.tag, 8);
}

bool IsWhole(const Block& block) {
  uint64_t i = 0;
  if (block.size_bytes >= 8) {
    if (std::memcmp(block.begin, &block.tag, 8) != 0) return false;
    i = 8;
  }
  for (; i < block.size_bytes; ++i) {
    if (block.begin[i] != static_cast<char>(block.tag)) return false;
  }
  return true;
}

/// Where one thread leaves blocks for another.
class Exchange {
 public:
  std::optional<Block> Swap(std::optional<Block> block, std::mt19937_64& random) {
    std::lock_guard lock(mutex_);
    std::swap(slots_[random() % slots_.size()], block);
    return block;
  }
  std::vector<Block> Left() const {
    std::vector<Block> left;
    for (const std::optional<Block>& slot : slots_) {
      if (slot) left.push_back(*slot);
    }
    return left;
  }

 private:
  std::mutex mutex_;
  std::array<std::optional<Block>, 64> slots_;
};

class HeapThreadsTest : public testing::Test {
 protected:
  void Make(uint64_t size_bytes, uint64_t capacity_bytes) {
    memory_.emplace(capacity_bytes);
    FormatHeap(memory_->Place(size_bytes), 4096, pmem::VolatilePersist());
    heap_ = Heap::Open(memory_->Place(size_bytes), pmem::VolatilePersist(), true, false).value();
    heap_->range().set_enlarge([this, capacity_bytes](uint64_t size_bytes) -> Result<uint64_t> {
      if (size_bytes > capacity_bytes) return Code::kNoSpace;
      size_bytes_ = size_bytes;
      return size_bytes;
    });
    size_bytes_ = size_bytes;
  }

  // What one thread does. `left` is set to the blocks that it has at the end.
  void Work(uint64_t seed, Exchange& exchange, std::vector<Block>& left) {
    std::mt19937_64 random(seed);
    std::vector<Block> mine;
    for (int i = 0; i < kOperations; ++i) {
      const uint64_t kind = random() % 100;
      if (kind < 45 || mine.empty()) {
        const uint64_t size_bytes = 1 + random() % (uint64_t{1} << (random() % 60 == 0 ? 18 : 11));
        const Result<void*> begin = heap_->Allocate(size_bytes, 16);
        if (!begin) continue;
        mine.push_back({static_cast<char*>(*begin), size_bytes, random()});
        Fill(mine.back());
        continue;
      }
      std::swap(mine[random() % mine.size()], mine.back());
      Block& block = mine.back();
      ASSERT_TRUE(IsWhole(block));
      if (kind < 78) {
        heap_->Free(block.begin);
        mine.pop_back();
      } else if (kind < 84) {
        const Result<void*> moved = heap_->Reallocate(block.begin, 1 + random() % 3000);
        if (!moved) continue;
        block.begin = static_cast<char*>(*moved);
        block.size_bytes = heap_->UsableBytes(block.begin);
        Fill(block);
      } else if (kind < 90) {
        MORSEL_CHECK(heap_->Flush(block.begin, block.size_bytes).ok());
        if (kind % 2 == 0) heap_->Fence();
      } else if (kind < 98) {
        const std::optional<Block> other = exchange.Swap(block, random);
        mine.pop_back();
        if (other) mine.push_back(*other);
      } else if (random() % 100 == 0) {
        heap_->StopTheWorld().FlushFrees();
      } else {
        EXPECT_TRUE(IsTrue(heap_->IsLive(block.begin)));
      }
    }
    left = mine;
  }

  std::optional<HeapMemory> memory_;
  std::atomic<uint64_t> size_bytes_ = 0;
  std::unique_ptr<Heap> heap_;
};

TEST_F(HeapThreadsTest, BlocksAreHandedOver) {
  const uint64_t seed = FreshSeed();
  Make(4 * kMiB, 256 * kMiB);
  Exchange exchange;
  std::array<std::vector<Block>, kThreads> left;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] { Work(seed + i, exchange, left[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<Block> all = exchange.Left();
  for (const std::vector<Block>& blocks : left) all.insert(all.end(), blocks.begin(), blocks.end());
  EXPECT_EQ(Findings(*heap_), "");
  uint64_t live_bytes = 0;
  for (const Block& block : all) {
    EXPECT_TRUE(IsWhole(block));
    live_bytes += heap_->UsableBytes(block.begin);
  }
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), live_bytes);
  MORSEL_CHECK(heap_->StopAndRelease().Close().ok());
  heap_ = Heap::Open(memory_->Place(size_bytes_), pmem::VolatilePersist(), true, false).value();
  EXPECT_EQ(Findings(*heap_), "");
  for (const Block& block : all) {
    ASSERT_TRUE(IsTrue(heap_->IsLive(block.begin)));
    EXPECT_TRUE(IsWhole(block));
    heap_->Free(block.begin);
  }
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
}

TEST_F(HeapThreadsTest, OneAllocatesAnotherFrees) {
  Make(2 * kMiB, 64 * kMiB);
  std::array<std::atomic<char*>, 256> ring{};
  constexpr int kBlocks = kOperations * 2;
  std::thread producer([&] {
    std::mt19937_64 random(TestSeed(1));
    for (int i = 0; i < kBlocks; ++i) {
      char* const block = static_cast<char*>(heap_->Allocate(16 + random() % 500, 16).value());
      std::memset(block, i & 255, 16);
      std::atomic<char*>& slot = ring[static_cast<size_t>(i) % ring.size()];
      while (slot.load(std::memory_order_acquire) != nullptr) std::this_thread::yield();
      slot.store(block, std::memory_order_release);
    }
  });
  for (int i = 0; i < kBlocks; ++i) {
    std::atomic<char*>& slot = ring[static_cast<size_t>(i) % ring.size()];
    char* block = nullptr;
    while ((block = slot.load(std::memory_order_acquire)) == nullptr) std::this_thread::yield();
    ASSERT_EQ(block[15], static_cast<char>(i & 255));
    heap_->Free(block);
    slot.store(nullptr, std::memory_order_release);
  }
  producer.join();
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
  EXPECT_EQ(Findings(*heap_), "");
}

// Generations of threads give one another blocks. Some are freed at the moment when the thread ends
// that has their slab, and some when its part is a later thread's.
TEST_F(HeapThreadsTest, NothingOfThreadsThatComeAndGoIsLost) {
  const uint64_t seed = FreshSeed();
  constexpr uint64_t kHeapBytes = 4 * kMiB;
  constexpr int kGenerations = kSlowBuild ? 60 : 400;
  memory_.emplace(kHeapBytes);
  FormatHeap(memory_->Place(kHeapBytes), 4096, pmem::VolatilePersist());
  heap_ = Heap::Open(memory_->Place(kHeapBytes), pmem::VolatilePersist(), true, false).value();
  const auto take_all = [&] {
    std::vector<void*> all;
    while (const Result<void*> block = heap_->Allocate(256, 16)) all.push_back(*block);
    for (void* const block : all) heap_->Free(block);
    return all.size();
  };
  const size_t count = take_all();
  std::vector<std::atomic<void*>> places(512);
  std::vector<std::thread> threads;
  for (uint64_t line = 0; line < kThreads; ++line) {
    threads.emplace_back([&, line] {
      for (uint64_t generation = 0; generation < kGenerations; ++generation) {
        std::thread([&] {
          std::mt19937_64 random(seed + line * kGenerations + generation);
          for (uint64_t i = 0, end = random() % 300; i < end; ++i) {
            const Result<void*> block = heap_->Allocate(256, 16);
            ASSERT_TRUE(block) << LastError();
            if (void* const old = places[random() % places.size()].exchange(*block)) {
              heap_->Free(old);
            }
            if (random() % 2000 == 0) heap_->StopTheWorld().FlushFrees();
          }
        }).join();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::atomic<void*>& place : places) {
    if (place.load() != nullptr) heap_->Free(place.load());
  }
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
  EXPECT_EQ(take_all(), count);
  EXPECT_EQ(Findings(*heap_), "");
}

// A checkpoint calls a function of the program's while it holds the heap's mutex, for which a
// thread that ends waits. That function may open morsels of other pools.
TEST_F(HeapThreadsTest, AnotherHeapOpensWhileAnEndingThreadWaitsForThisOne) {
  Make(2 * kMiB, 64 * kMiB);
  const HeapMemory other(kSubtreeBytes, TestBase() + kGiantBytes);
  const HeapPlace place = other.Place(kSubtreeBytes);
  FormatHeap(place, 4096, pmem::VolatilePersist());
  std::atomic<int> step{0};
  std::thread ends([&] {
    heap_->Free(heap_->Allocate(64, 16).value());
    step.store(1);
    while (step.load() != 2) std::this_thread::yield();
  });
  while (step.load() != 1) std::this_thread::yield();
  {
    const auto held = heap_->Lock();
    const OutsideCall outside;
    step.store(2);
    for (int i = 0; i < 1000; ++i) {
      std::this_thread::yield();
      EXPECT_TRUE(Heap::Open(place, pmem::VolatilePersist(), /*fine=*/true, /*read_only=*/false));
    }
  }
  ends.join();
}

}  // namespace
}  // namespace morsel::alloc
