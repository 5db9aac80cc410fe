// Slabs are shared where there are many threads or classes and little in use.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "alloc/heap/heap_testing.h"
#include "base/check.h"

namespace morsel::alloc {
namespace {

class HeapSharingTest : public testing::TestWithParam<bool> {
 protected:
  void Make(uint64_t size_bytes, uint64_t capacity_bytes) {
    heap_.reset();
    size_bytes_ = size_bytes;
    memory_.emplace(capacity_bytes);
    FormatHeap(memory_->Place(size_bytes), 4096, pmem::VolatilePersist());
    heap_ =
        Heap::Open(memory_->Place(size_bytes), pmem::VolatilePersist(), GetParam(), false).value();
    heap_->range().set_enlarge([this, capacity_bytes](uint64_t wanted_bytes) -> Result<uint64_t> {
      if (wanted_bytes > capacity_bytes) return Code::kNoSpace;
      ++growths_;
      size_bytes_ = wanted_bytes;
      return wanted_bytes;
    });
  }

  // Has `count` threads call `work(thread)`. All of them live until the last one is done.
  template <class Work>
  static void InThreads(int count, Work work) {
    std::barrier done(count);
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        work(i);
        done.arrive_and_wait();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  uint64_t size_bytes_ = 0;
  int growths_ = 0;
  std::optional<HeapMemory> memory_;
  std::unique_ptr<Heap> heap_;
};
INSTANTIATE_TEST_SUITE_P(Contracts, HeapSharingTest, testing::Bool());

TEST_P(HeapSharingTest, AFewObjectsOfManySizesLeaveASmallMorselAlmostEmpty) {
  const auto linear = [](uint64_t i) { return 32 * i; };                        // 16 KiB in all
  const auto steep = [](uint64_t i) { return 16 + (uint64_t{1} << (i / 3)); };  // 6 KiB in all
  for (const auto& size_of :
       {std::function<uint64_t(uint64_t)>(linear), std::function<uint64_t(uint64_t)>(steep)}) {
    Make(2 * kMiB, 2 * kMiB);
    for (uint64_t i = 1; i <= 31; ++i) ASSERT_TRUE(heap_->Allocate(size_of(i), 16)) << i;
    EXPECT_TRUE(heap_->Allocate(1536 * kKiB, 16)) << "more than 512 KiB were taken";
    EXPECT_EQ(Findings(*heap_), "");
  }
}

// The first blocks of a class are larger than they need be. Of many that would be too much.
TEST_P(HeapSharingTest, ManyObjectsOfASizeHaveSlabsOfTheirOwn) {
  Make(2 * kMiB, 2 * kMiB);
  uint64_t bytes = 0;
  while (heap_->Allocate(1040, 16)) bytes += 1040;
  EXPECT_GE(bytes, 1700 * kKiB);
}

TEST_P(HeapSharingTest, ManyThreadsFillASmallMorselBeforeACallFails) {
  constexpr int kThreads = 64;
  constexpr uint64_t kBytes = 64;
  Make(2 * kMiB, 2 * kMiB);
  std::barrier round(kThreads);
  std::atomic<int> failures{0};
  InThreads(kThreads, [&](int) {
    for (uint64_t i = 0; i < kMiB / kBytes / kThreads; ++i) {
      round.arrive_and_wait();
      if (!heap_->Allocate(kBytes, 16)) ++failures;
    }
  });
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), kMiB);
  EXPECT_EQ(Findings(*heap_), "");
}

TEST_P(HeapSharingTest, ManyThreadsWithABlockOfEveryClassTakeNotMuchMoreThanTheirBlocks) {
  constexpr int kThreads = 64;
  Make(2 * kMiB, 4 * kGiB);
  std::atomic<int> failures{0};
  InThreads(kThreads, [&](int) {
    for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
      if (!heap_->Allocate(BlockBytes(size_class), 16)) ++failures;
    }
  });
  EXPECT_EQ(failures, 0);
  EXPECT_LE(size_bytes_, 8 * heap_->StopAndRelease().LiveBytes().value());
  EXPECT_EQ(Findings(*heap_), "");
}

// Otherwise threads that use a class all the time would take the same slab from each other for
// ever.
TEST_P(HeapSharingTest, AThreadThatHasLostASlabMakesTheNextOne) {
  Make(2 * kMiB, kGiB);
  const auto take = [&] {
    return reinterpret_cast<uint64_t>(heap_->Allocate(kBlockBytesMax, 16).value()) / (2 * kMiB);
  };
  const uint64_t slab = take();
  heap_->Free(heap_->Allocate(kBlockBytesMax, 16).value());  // which is not flushed yet
  const int growths = growths_;
  std::promise<void> has_taken;
  std::promise<void> may_go_on;
  std::thread other([&] {
    EXPECT_EQ(take(), slab);
    has_taken.set_value();
    may_go_on.get_future().wait();
    for (int i = 0; i < 10; ++i) EXPECT_EQ(take(), slab);
  });
  has_taken.get_future().wait();
  EXPECT_EQ(growths_, growths) << "the slab served both";
  EXPECT_NE(take(), slab);
  EXPECT_EQ(growths_, growths + 1);
  may_go_on.set_value();
  other.join();
  EXPECT_EQ(growths_, growths + 1);
}

}  // namespace
}  // namespace morsel::alloc
