#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "alloc/heap/heap_testing.h"
#include "base/check.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kHeapBytes = 256 * kMiB;

// Says what the kernel says of the test's memory, and gives back as a morsel's frames do.
class TestFrames final : public HeapFrames {
 public:
  Range FirstTouched(char* begin, char* end) override {
    ++asked;
    while (begin < end && !IsResident(begin)) begin += kPageBytes;
    char* past = begin;
    while (past < end && IsResident(past)) past += kPageBytes;
    return {std::min(begin, end), std::min(past, end)};
  }
  void GiveBack(char* begin, char* end) override {
    MORSEL_CHECK(madvise(begin, static_cast<size_t>(end - begin), MADV_DONTNEED) == 0);
    given_back.push_back({begin, end});
  }
  void Expect(const char* begin, const char* end, Use use) override {
    (use == Use::kDense ? dense : any).emplace_back(begin, end);
  }
  // A debug build ends the process if the heap's lock is held.
  void Watch() override {
    ++watches;
    if (heap != nullptr) (void)heap->Lock();
  }
  static bool IsResident(char* page) {
    unsigned char resident = 0;
    MORSEL_CHECK(mincore(page, kPageBytes, &resident) == 0);
    return (resident & 1) != 0;
  }

  int asked = 0;
  int watches = 0;
  Heap* heap = nullptr;
  std::vector<Range> given_back;
  std::vector<std::pair<const char*, const char*>> dense;
  std::vector<std::pair<const char*, const char*>> any;
};

class HeapZeroedTest : public testing::Test {
 protected:
  void Make(uint64_t size_bytes = kHeapBytes) {
    memory_.emplace(kHeapBytes);
    FormatHeap(memory_->Place(size_bytes), 4096, pmem::VolatilePersist());
    Open(/*is_new=*/true, size_bytes);
  }
  void Open(bool is_new, uint64_t size_bytes = kHeapBytes) {
    heap_.reset();
    HeapPlace place = memory_->Place(size_bytes);
    place.is_new = is_new;
    place.frames = its_frames_;
    heap_ = Heap::Open(place, pmem::VolatilePersist(), true, false).value();
  }
  char* Zeroed(uint64_t size_bytes) {
    return static_cast<char*>(heap_->AllocateZeroed(size_bytes).value());
  }
  char* Filled(uint64_t size_bytes) {
    char* const block = static_cast<char*>(heap_->Allocate(size_bytes, 16).value());
    std::memset(block, 0xee, size_bytes);
    return block;
  }
  static bool IsZero(const char* block, uint64_t size_bytes) {
    return block[0] == 0 && std::memcmp(block, block + 1, size_bytes - 1) == 0;
  }
  static uint64_t ResidentPages(char* block, uint64_t size_bytes) {
    uint64_t pages = 0;
    for (uint64_t at = 0; at < size_bytes; at += kPageBytes) {
      pages += TestFrames::IsResident(block + at) ? 1 : 0;
    }
    return pages;
  }

  TestFrames frames_;
  HeapFrames* its_frames_ = nullptr;  ///< of a heap that is opened
  std::optional<HeapMemory> memory_;
  std::unique_ptr<Heap> heap_;
};

TEST_F(HeapZeroedTest, MemoryOfANewHeapIsNotTouched) {
  Make();
  char* const block = Zeroed(64 * kMiB);
  EXPECT_EQ(ResidentPages(block, 64 * kMiB), 0u);
  EXPECT_TRUE(IsZero(block, 64 * kMiB));
}

TEST_F(HeapZeroedTest, MemoryThatTheRangeGrewByIsNotTouched) {
  Make(4 * kMiB);
  (void)Filled(kMiB);
  Open(/*is_new=*/false, 4 * kMiB);
  heap_->range().set_enlarge([](uint64_t size_bytes) -> Result<uint64_t> { return size_bytes; });
  char* const block = Zeroed(64 * kMiB);
  EXPECT_EQ(ResidentPages(block + 4 * kMiB, 60 * kMiB), 0u);
  EXPECT_TRUE(IsZero(block, 64 * kMiB));
}

TEST_F(HeapZeroedTest, WhatWasUsedBeforeIsCleared) {
  for (const bool has_frames : {false, true}) {
    its_frames_ = has_frames ? &frames_ : nullptr;
    Make();
    heap_->Free(Filled(16 * kMiB));
    EXPECT_TRUE(IsZero(Zeroed(32 * kMiB), 32 * kMiB));
    heap_->Free(Filled(100));
    EXPECT_TRUE(IsZero(Zeroed(100), 100));
    // An earlier process has used memory behind everything that is in use.
    char* const last = Filled(64 * kMiB);
    heap_->Free(last);
    MORSEL_CHECK(heap_->StopAndRelease().Close().ok());
    Open(/*is_new=*/false);
    EXPECT_TRUE(IsZero(Zeroed(64 * kMiB), 64 * kMiB));
  }
}

// Where a pool cannot take back what a heap has given up, that comes back as it was.
TEST_F(HeapZeroedTest, WhatCameBackAfterShrinkingIsCleared) {
  Make();
  heap_->Free(Filled(200 * kMiB));
  {
    const auto stopped = heap_->StopTheWorld();
    ASSERT_TRUE(stopped.Shrink(4 * kMiB).ok());
    heap_->range().Grow(kHeapBytes);
  }
  EXPECT_TRUE(IsZero(Zeroed(128 * kMiB), 128 * kMiB));
}

TEST_F(HeapZeroedTest, BlocksAreZeroWhateverWasThereBefore) {
  std::mt19937_64 random(TestSeed(9));
  for (const bool has_frames : {false, true}) {
    its_frames_ = has_frames ? &frames_ : nullptr;
    Make(16 * kMiB);
    heap_->range().set_enlarge([](uint64_t size_bytes) -> Result<uint64_t> {
      if (size_bytes > kHeapBytes) return Code::kNoSpace;
      return size_bytes;
    });
    std::vector<char*> blocks;
    for (int i = 0; i < 600 && !HasFailure(); ++i) {
      const uint64_t size_bytes = uint64_t{1} << (4 + random() % 20);
      const Result<void*> block = heap_->AllocateZeroed(size_bytes);
      if (block) {
        blocks.push_back(static_cast<char*>(*block));
        EXPECT_TRUE(IsZero(blocks.back(), size_bytes)) << size_bytes;
        std::memset(*block, 0xdd, heap_->UsableBytes(*block));
      }
      if (blocks.empty() || (block && random() % 3 != 0)) continue;
      std::swap(blocks[random() % blocks.size()], blocks.back());
      char* const shorter = static_cast<char*>(heap_->Reallocate(blocks.back(), 16).value());
      heap_->Free(shorter);
      blocks.pop_back();
    }
  }
}

TEST_F(HeapZeroedTest, ABlockThatIsFreedAndTakenAgainKeepsItsMemory) {
  its_frames_ = &frames_;
  Make();
  for (int i = 0; i < 100; ++i) heap_->Free(Filled(32 * kMiB));
  EXPECT_TRUE(frames_.given_back.empty());
}

TEST_F(HeapZeroedTest, WhatIsFreedAndNotUsedAgainGoesBackToTheHost) {
  its_frames_ = &frames_;
  Make();
  std::vector<char*> blocks;
  for (int i = 0; i < 12; ++i) blocks.push_back(Filled(16 * kMiB));
  for (size_t i = 0; i < blocks.size(); i += 2) heap_->Free(blocks[i]);
  uint64_t resident = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const uint64_t pages = ResidentPages(blocks[i], 16 * kMiB);
    if (i % 2 == 0) {
      resident += pages;
    } else {
      EXPECT_EQ(pages, 16 * kMiB / kPageBytes) << "block " << i << " is live";
    }
  }
  EXPECT_LE(resident * kPageBytes, 64 * kMiB);
  EXPECT_LE(frames_.given_back.size(), 6u);
}

TEST_F(HeapZeroedTest, FramesThatWereGivenBackAreNotTouched) {
  its_frames_ = &frames_;
  Make();
  heap_->Free(Filled(128 * kMiB));
  char* const block = Zeroed(128 * kMiB);
  EXPECT_EQ(ResidentPages(block, 128 * kMiB), 0u);
  EXPECT_EQ(frames_.asked, 1);
}

TEST_F(HeapZeroedTest, FramesHearHowWhatIsHandedOutWillBeUsed) {
  TestFrames frames;
  its_frames_ = &frames;
  Make();
  const char* const small = static_cast<char*>(heap_->Allocate(64, 16).value());
  ASSERT_EQ(frames.dense.size(), 1u);
  EXPECT_TRUE(frames.dense[0].first <= small && small < frames.dense[0].second);
  EXPECT_TRUE(frames.any.empty());
  char* const large = static_cast<char*>(heap_->Allocate(3 * kMiB, 16).value());
  ASSERT_EQ(frames.any.size(), 1u);
  EXPECT_EQ(frames.any[0].first, large);
  EXPECT_EQ(frames.any[0].second, large + 3 * kMiB);
  EXPECT_EQ(heap_->Reallocate(large, 5 * kMiB).value(), large);
  ASSERT_EQ(frames.any.size(), 2u);
  EXPECT_EQ(frames.any[1].second, large + 5 * kMiB);
  EXPECT_EQ(frames.dense.size(), 1u);
}

// A thread begins there, and the system calls the program's malloc(), which may be this heap's.
TEST_F(HeapZeroedTest, LargeBlocksAreWatchedWithoutTheLock) {
  its_frames_ = &frames_;
  Make();
  frames_.heap = heap_.get();
  (void)heap_->Allocate(64, 16).value();
  EXPECT_EQ(frames_.watches, 0);
  void* const large = heap_->Allocate(3 * kMiB, 16).value();
  EXPECT_EQ(frames_.watches, 1);
  EXPECT_EQ(heap_->Reallocate(large, 5 * kMiB).value(), large);
  EXPECT_EQ(frames_.watches, 2);
  (void)Zeroed(3 * kMiB);
  EXPECT_EQ(frames_.watches, 3);
}

}  // namespace
}  // namespace morsel::alloc
