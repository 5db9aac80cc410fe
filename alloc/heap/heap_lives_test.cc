// The bound on what crashes may leave allocated to nobody holds for all incarnations of a
// program together, not for each one alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <thread>
#include <utility>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_shadow_testing.h"
#include "alloc/heap/heap_testing.h"
#include "base/error.h"

namespace morsel::alloc {
namespace {

// `grows`: before it frees, each incarnation needs more room, and flushes for that what it knows.
void ExpectFreesOfManyKillsAreBounded(bool grows) {
  constexpr uint64_t kBytes = 18 * kMiB;
  constexpr uint64_t kFreesOfALife = 12'000;  // too few to be flushed if nothing came before
  constexpr int kLives = 12;
  // Whoever grows looks at some slabs first. These come before those whose blocks are freed.
  constexpr uint64_t kBlocksInFront = 800'000;
  const HeapMemory memory(4 * kBytes);
  Shadow shadow(memory.base(), 4 * kBytes);
  HeapPlace place = memory.Place(kBytes);
  FormatHeap(place, 64, shadow.persist());

  std::vector<void*> blocks;
  {
    auto heap = Heap::Open(place, shadow.persist(), /*fine=*/true, /*read_only=*/false);
    ASSERT_TRUE(heap) << LastError();
    for (uint64_t i = 0; i < kBlocksInFront + 2 * kLives * kFreesOfALife; ++i) {
      blocks.push_back(*(*heap)->Allocate(16, 16));
    }
    ASSERT_TRUE((*heap)->StopAndRelease().Close().ok());
  }
  for (int life = 0; life < kLives; ++life) {
    auto heap = Heap::Open(place, shadow.persist(), /*fine=*/true, /*read_only=*/false);
    ASSERT_TRUE(heap) << LastError();
    if (grows) {
      (*heap)->range().set_enlarge(
          [&](uint64_t size_bytes) -> Result<uint64_t> { return place.size_bytes = size_bytes; });
      ASSERT_TRUE((*heap)->Allocate(16, 16));  // from now on the heap knows the thread
      ASSERT_TRUE((*heap)->Allocate(2 * kMiB, 16));
    }
    // Every second block, so that no slab becomes empty and is released.
    for (uint64_t i = 0; i < kFreesOfALife; ++i) {
      const uint64_t number = static_cast<uint64_t>(life) * kFreesOfALife + i;
      (*heap)->Free(blocks[kBlocksInFront + 2 * number]);
    }
    // Killed: no Close().
  }
  shadow.CutPower();
  auto heap = Heap::Open(place, shadow.persist(), /*fine=*/true, /*read_only=*/false);
  ASSERT_TRUE(heap) << LastError();
  uint64_t back = 0;
  for (uint64_t i = kBlocksInFront; i < blocks.size(); ++i) {
    const bool is_live = IsTrue((*heap)->IsLive(blocks[i]));
    const bool is_freed = i % 2 == kBlocksInFront % 2;
    back += is_freed && is_live ? 1 : 0;
    ASSERT_TRUE(is_freed || is_live) << i;
  }
  EXPECT_LE(back, kFreesUnflushedMax);
}

TEST(HeapLives, FreesUndoneAfterManyKillsAreBoundedTogether) {
  ExpectFreesOfManyKillsAreBounded(/*grows=*/false);
}

TEST(HeapLives, FreesUndoneAfterManyKillsAreBoundedWhereTheHeapGrows) {
  ExpectFreesOfManyKillsAreBounded(/*grows=*/true);
}

// Threads free their own blocks, or those of others as well, until the power fails. Of each
// thread's frees, no more than the bound may be undone; nothing else may come back, and nothing may
// be lost. Returns the largest number of one thread's frees that were undone.
uint64_t FreeAndCutPower(uint64_t seed, bool own_only) {
  constexpr uint64_t kBytes = 32 * kMiB;
  constexpr size_t kThreads = 3;
  constexpr size_t kBlocks = kSlowBuild ? 8'000 : 80'000;  // of each thread
  const HeapMemory memory(kBytes);
  Shadow shadow(memory.base(), kBytes);
  const HeapPlace place = memory.Place(kBytes);
  FormatHeap(place, 64, shadow.persist());
  auto heap = Heap::Open(place, shadow.persist(), /*fine=*/true, /*read_only=*/false).value();
  std::vector<void*> blocks(kThreads * kBlocks);
  std::mt19937_64 random(seed);
  std::array<size_t, kThreads> freed{};
  // Which block thread `number` frees as its i-th one.
  const auto place_of = [&](size_t number, size_t i) {
    return own_only ? number * kBlocks + i : i * kThreads + number;
  };
  std::barrier together(kThreads + 1);
  std::vector<std::thread> threads;
  for (size_t number = 0; number < kThreads; ++number) {
    freed[number] = kBlocks / 8 + random() % (kBlocks - kBlocks / 8);
    threads.emplace_back([&, number] {
      for (size_t i = number * kBlocks; i < (number + 1) * kBlocks; ++i) {
        blocks[i] = *heap->Allocate(16, 16);
      }
      together.arrive_and_wait();
      together.arrive_and_wait();  // all is durable
      for (size_t i = 0; i < freed[number]; ++i) heap->Free(blocks[place_of(number, i)]);
      together.arrive_and_wait();
      together.arrive_and_wait();  // the power fails before a thread ends and so flushes
    });
  }
  together.arrive_and_wait();
  heap->StopTheWorld().FlushFrees();
  together.arrive_and_wait();
  together.arrive_and_wait();
  const std::vector<char> left = shadow.durable();
  together.arrive_and_wait();
  for (std::thread& thread : threads) thread.join();
  heap.reset();
  shadow.Restore(left);

  const auto after =
      Heap::Open(place, shadow.persist(), /*fine=*/true, /*read_only=*/false).value();
  EXPECT_EQ(Findings(*after), "");
  uint64_t live = 0;
  uint64_t most = 0;
  for (size_t number = 0; number < kThreads; ++number) {
    uint64_t back = 0;
    for (size_t i = 0; i < kBlocks; ++i) {
      const bool is_live = IsTrue(after->IsLive(blocks[place_of(number, i)]));
      live += is_live ? 1 : 0;
      back += is_live && i < freed[number] ? 1 : 0;
      if (i < freed[number]) continue;
      EXPECT_TRUE(is_live) << "thread " << number << ", block " << i;
    }
    std::printf("thread %zu: of %zu freed %" PRIu64 " came back\n", number, freed[number], back);
    EXPECT_LE(back, kFreesUnflushedMax);
    most = std::max(most, back);
  }
  EXPECT_EQ(after->StopAndRelease().LiveBytes().value(), live * 16)
      << "something is allocated that nobody had";
  return most;
}

TEST(HeapLives, FreesUndoneAreBoundedForEachThread) {
  const uint64_t seed = TestSeed(1);
  uint64_t most = 0;
  for (uint64_t round = 0; round < 4; ++round) {
    most = std::max(most, FreeAndCutPower(seed + round, /*own_only=*/round % 2 == 0));
  }
  EXPECT_GT(most, 500u);  // else this shows nothing
}

}  // namespace
}  // namespace morsel::alloc
