// What a heap does that has no room left, or next to none. The first search for room may look at
// everything; what it learned serves until something is freed.
#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

#include "alloc/heap/heap_testing.h"
#include "base/check.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kHeapBytes = 64 * kMiB;
constexpr uint64_t kSlabs = kHeapBytes / kUnitBytes;

class HeapFullTest : public testing::TestWithParam<bool> {
 protected:
  HeapFullTest() {
    FormatHeap(memory_.Place(kHeapBytes), 4096, pmem::VolatilePersist());
    heap_ =
        Heap::Open(memory_.Place(kHeapBytes), pmem::VolatilePersist(), GetParam(), false).value();
  }

  void* Allocate(uint64_t size_bytes) {
    const Result<void*> block = heap_->Allocate(size_bytes, 16);
    EXPECT_TRUE(block || block.error() == Code::kNoSpace);
    return block ? *block : nullptr;
  }

  // As many blocks as there is room for, and at most `count`.
  std::vector<void*> Fill(uint64_t size_bytes, size_t count = ~size_t{0}) {
    std::vector<void*> blocks;
    while (blocks.size() < count) {
      void* const block = Allocate(size_bytes);
      if (block == nullptr) break;
      blocks.push_back(block);
    }
    return blocks;
  }

  // Frees every other block, so that no slab becomes empty.
  void FreeHalf(const std::vector<void*>& blocks) {
    for (size_t i = 0; i < blocks.size(); i += 2) heap_->Free(blocks[i]);
  }

  struct Work {
    uint64_t gates;
    uint64_t slabs;
  };
  Work WorkOf(const std::function<void()>& calls) {
    const HeapWork before = heap_->work();
    calls();
    const HeapWork after = heap_->work();
    return {after.gates_closed - before.gates_closed, after.slabs_searched - before.slabs_searched};
  }

  HeapMemory memory_{kHeapBytes};
  std::unique_ptr<Heap> heap_;
};
INSTANTIATE_TEST_SUITE_P(Contracts, HeapFullTest, testing::Bool());

TEST_P(HeapFullTest, BlocksOfALargerClassAreTakenWithTheGateOpen) {
  constexpr size_t kCount = 10'000;
  (void)Fill(80, kHeapBytes / 2 / 80);
  FreeHalf(Fill(112));
  (void)Fill(80, 5'000);  // uses up what other slabs of the class had
  const Work work = WorkOf([&] { EXPECT_EQ(Fill(80, kCount).size(), kCount); });
  EXPECT_LE(work.gates, kCount / 16);
  EXPECT_LE(work.slabs, kSlabs + kCount / 16);
  EXPECT_EQ(Findings(*heap_), "");
}

TEST_P(HeapFullTest, AFailingCallLooksAtNoSlabAgain) {
  (void)Fill(80);
  (void)Fill(16);
  const Work work = WorkOf([&] {
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(Allocate(80), nullptr);
  });
  EXPECT_LE(work.gates, 4000u);
  EXPECT_LE(work.slabs, 10u);
}

TEST_P(HeapFullTest, AFailingCallLooksOnlyAtSlabsOfWhichSomethingWasFreed) {
  const std::vector<void*> small = Fill(16, 10'000);
  (void)Fill(80);
  const Work work = WorkOf([&] {
    for (size_t i = 0; i < 200; ++i) {
      heap_->Free(small[i]);
      EXPECT_EQ(Allocate(80), nullptr);
    }
  });
  EXPECT_LE(work.slabs, 200 * 4u);
}

TEST_P(HeapFullTest, WhatIsFreedIsFoundThoughASearchHasFailed) {
  std::vector<void*> blocks = Fill(80);
  EXPECT_EQ(Allocate(3000), nullptr);
  while (!blocks.empty()) {
    heap_->Free(blocks.back());
    blocks.pop_back();
    if (heap_->Allocate(2 * kUnitBytes, 16)) break;
  }
  EXPECT_FALSE(blocks.empty()) << "two neighbouring slabs were empty before all were";
  EXPECT_EQ(Findings(*heap_), "");
}

TEST_P(HeapFullTest, WhatAnotherThreadFreesIsFoundThoughASearchHasFailed) {
  std::vector<void*> of_other;
  std::thread([&] { of_other = Fill(80, 20'000); }).join();
  const std::vector<void*> ours = Fill(80);
  EXPECT_EQ(Allocate(3000), nullptr);
  std::thread([&] {
    for (void* const block : of_other) heap_->Free(block);
    of_other.clear();
    EXPECT_NE(Allocate(3000), nullptr);
  }).join();
  EXPECT_NE(Allocate(3000), nullptr);
  EXPECT_EQ(Findings(*heap_), "");
}

// The other thread lives on, with the blocks that it has at hand.
TEST_P(HeapFullTest, WhatAnotherThreadHasAtHandIsNotLost) {
  (void)Fill(80, kHeapBytes / 80 / 2);
  std::promise<void> has_blocks;
  std::promise<void> may_end;
  std::thread other([&] {
    for (void* const block : Fill(80, 100)) heap_->Free(block);
    has_blocks.set_value();
    may_end.get_future().wait();
  });
  has_blocks.get_future().wait();
  const size_t count = Fill(80).size();
  may_end.set_value();
  other.join();
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), (kHeapBytes / 80 / 2 + count) * 80);
  EXPECT_EQ(Allocate(80), nullptr) << "the ended thread kept nothing";
}

}  // namespace
}  // namespace morsel::alloc
