#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "alloc/heap/heap_testing.h"
#include "base/check.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kHeapBytes = 64 * kMiB;

struct HeapLiveBytesTest : testing::Test {
  void SetUp() override {
    FormatHeap(memory.Place(kHeapBytes), 4096, pmem::VolatilePersist());
    Open(std::nullopt);
  }

  void Open(std::optional<uint64_t> recorded, bool fine = true) {
    heap.reset();
    HeapPlace place = memory.Place(kHeapBytes);
    place.live_bytes = recorded;
    heap = Heap::Open(place, pmem::VolatilePersist(), fine, false).value();
  }

  std::vector<void*> Allocate(size_t count, uint64_t size_bytes) {
    std::vector<void*> blocks;
    for (size_t i = 0; i < count; ++i) blocks.push_back(heap->Allocate(size_bytes, 16).value());
    return blocks;
  }

  // What a heap counts that is opened in the same memory.
  uint64_t Counted() {
    heap->StopTheWorld().FlushFrees();  // closes the gate: blocks in magazines are put back
    return Heap::Open(memory.Place(kHeapBytes), pmem::VolatilePersist(), true, /*read_only=*/true)
        .value()
        ->StopAndRelease()
        .LiveBytes()
        .value();
  }

  HeapMemory memory{kHeapBytes};
  std::unique_ptr<Heap> heap;
};

TEST_F(HeapLiveBytesTest, SlabsAreCountedOnceHoweverOftenOneAsks) {
  const std::vector<void*> blocks = Allocate(20'000, 64);
  EXPECT_EQ(heap->StopAndRelease().LiveBytes().value(), 20'000u * 64);
  const uint64_t counted = heap->work().slabs_counted;
  EXPECT_GT(counted, 0u);
  for (int i = 0; i < 10; ++i) {
    heap->Free(blocks[static_cast<size_t>(i)]);
    EXPECT_EQ(heap->StopAndRelease().LiveBytes().value(),
              (20'000u - static_cast<uint64_t>(i) - 1) * 64);
  }
  EXPECT_EQ(heap->work().slabs_counted, counted);
}

// One round of every way in which a block comes and goes.
void Churn(Heap& heap, std::vector<void*>& ours, std::vector<void*>& of_others) {
  for (const uint64_t size_bytes : {16u, 100u, 3000u, 65536u, 200'000u}) {
    for (int i = 0; i < 200; ++i) {
      if (size_bytes > 4000 && i > 10) break;
      ours.push_back(heap.Allocate(size_bytes, 16).value());
    }
  }
  for (size_t i = 0; i < ours.size(); i += 3) {
    ours[i] = heap.Reallocate(ours[i], 150'000 >> (i % 12)).value();
  }
  for (size_t i = 0; i < ours.size(); i += 2) {
    heap.Free(ours[i]);
    ours[i] = ours.back();
    ours.pop_back();
  }
  for (void* const block : of_others) heap.Free(block);
  of_others.clear();
}

TEST_F(HeapLiveBytesTest, WhatIsKeptIsWhatAnotherHeapCounts) {
  for (const bool fine : {true, false}) {
    Open(std::nullopt, fine);
    (void)heap->StopAndRelease().LiveBytes().value();
    std::vector<void*> ours;
    std::vector<void*> of_others;
    for (int round = 0; round < 5; ++round) {
      Churn(*heap, ours, of_others);
      std::thread([&] { Churn(*heap, of_others, ours); }).join();
      EXPECT_EQ(heap->StopAndRelease().LiveBytes().value(), Counted()) << "round " << round;
    }
    // So many frees that they are flushed several times meanwhile.
    std::vector<void*> many = Allocate(300'000, 16);
    std::thread([&] {
      for (size_t i = 0; i < many.size(); i += 2) heap->Free(many[i]);
    }).join();
    for (size_t i = 1; i < many.size(); i += 2) heap->Free(many[i]);
    EXPECT_EQ(heap->StopAndRelease().LiveBytes().value(), Counted());
    for (void* const block : ours) heap->Free(block);
    for (void* const block : of_others) heap->Free(block);
    EXPECT_EQ(heap->StopAndRelease().LiveBytes().value(), 0u);
  }
}

TEST_F(HeapLiveBytesTest, WhatWasRecordedAtTheCloseIsNotCountedAgain) {
  (void)Allocate(20'000, 64);
  const uint64_t live_bytes = heap->StopAndRelease().LiveBytes().value();
  MORSEL_CHECK(heap->StopAndRelease().Close().ok());
  Open(live_bytes);
  EXPECT_EQ(heap->StopAndRelease().LiveBytes().value(), live_bytes);
  heap->Free(heap->Allocate(100, 16).value());
  EXPECT_EQ(heap->StopAndRelease().LiveBytes().value(), live_bytes);
  EXPECT_EQ(heap->work().slabs_counted, 0u);
}

TEST_F(HeapLiveBytesTest, AfterAKillWhatWasRecordedBeforeIsNotBelieved) {
  (void)Allocate(100, 64);
  Open(12'345);  // the heap was not closed
  EXPECT_EQ(heap->StopAndRelease().LiveBytes().value(), Counted());
  EXPECT_GT(heap->work().slabs_counted, 0u);
}

TEST_F(HeapLiveBytesTest, ARecordThatCannotBeIsNotBelieved) {
  const std::vector<void*> blocks = Allocate(100, 64);
  MORSEL_CHECK(heap->StopAndRelease().Close().ok());
  Open(kHeapBytes + 1);
  EXPECT_EQ(heap->StopAndRelease().LiveBytes().value(), 6400u);
  MORSEL_CHECK(heap->StopAndRelease().Close().ok());
  Open(64);
  heap->Free(blocks[0]);
  heap->Free(blocks[1]);
  EXPECT_EQ(heap->StopAndRelease().LiveBytes().value(), 98u * 64);
}

TEST_F(HeapLiveBytesTest, WhetherOwnBlocksAreLiveIsKnownWithTheGateOpen) {
  const std::vector<void*> blocks = Allocate(3, 64);
  char* const extent = static_cast<char*>(heap->Allocate(kMiB, 16).value());
  heap->Free(blocks[1]);
  const uint64_t gates = heap->work().gates_closed;
  EXPECT_TRUE(IsTrue(heap->IsLive(blocks[0])));
  EXPECT_TRUE(IsTrue(heap->IsLive(static_cast<char*>(blocks[2]) + 63)));
  EXPECT_TRUE(IsTrue(heap->IsLive(extent + kMiB - 1)));
  EXPECT_FALSE(IsTrue(heap->IsLive(blocks[1]))) << "it is in a magazine";
  EXPECT_FALSE(IsTrue(heap->IsLive(static_cast<char*>(blocks[1]) + 63)));
  EXPECT_FALSE(IsTrue(heap->IsLive(static_cast<char*>(blocks[2]) + 64))) << "taken ahead";
  EXPECT_EQ(heap->work().gates_closed, gates);
  std::thread([&] {
    EXPECT_TRUE(IsTrue(heap->IsLive(blocks[0])));
    EXPECT_FALSE(IsTrue(heap->IsLive(blocks[1]))) << "it is in another thread's magazine";
  }).join();
}

}  // namespace
}  // namespace morsel::alloc
