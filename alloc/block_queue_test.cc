#include "alloc/block_queue.h"

#include <gtest/gtest.h>

#include <vector>

namespace morsel::alloc {
namespace {

struct BlockQueueTest : testing::Test {
  static constexpr uint64_t kCount = 8;
  BlockQueueTest() { queue.Begin(places, kCount); }

  char* Block(int i) { return blocks + 16 * i; }
  std::vector<void*> TakeAll() {
    std::vector<void*> all;
    while (void* const block = queue.TryTake()) all.push_back(block);
    return all;
  }

  alignas(2 * kCount * sizeof(void*)) void* places[2 * kCount] = {};
  char blocks[16 * 100];
  BlockQueue queue;
};

TEST_F(BlockQueueTest, FirstInFirstOut) {
  EXPECT_EQ(queue.TryTake(), nullptr);
  for (int i = 0; i < 3; ++i) queue.Give(Block(i));
  EXPECT_EQ(TakeAll(), (std::vector<void*>{Block(0), Block(1), Block(2)}));
}

TEST_F(BlockQueueTest, HoldsAsManyAsItHasPlacesWhereverItBegins) {
  for (uint64_t begin = 0; begin < 2 * kCount; ++begin) {
    std::vector<void*> given;
    for (int i = 0; queue.HasRoom(); ++i) {
      queue.Give(Block(i));
      given.push_back(Block(i));
    }
    EXPECT_EQ(given.size(), kCount);
    EXPECT_EQ(TakeAll(), given);
    queue.Give(Block(0));
    EXPECT_EQ(queue.TryTake(), Block(0));
  }
  for (uint64_t i = kCount; i < 2 * kCount; ++i) EXPECT_EQ(places[i], nullptr);
}

TEST_F(BlockQueueTest, IsFilledFromItsFirstPlace) {
  for (const int count : {0, 1, 5, 8}) {
    queue.Give(Block(50));
    ASSERT_EQ(queue.TryTake(), Block(50));
    BlockQueue::Filling filling(queue);
    filling.Add(Block(3), 16, count / 2);
    filling.Add(Block(20), 32, count - count / 2);
    filling.End();
    EXPECT_FALSE(queue.IsGiven());
    EXPECT_EQ(queue.HasRoom(), count < 8);
    std::vector<void*> due;
    for (int i = 0; i < count / 2; ++i) due.push_back(Block(3 + i));
    for (int i = 0; i < count - count / 2; ++i) due.push_back(Block(20 + 2 * i));
    EXPECT_EQ(TakeAll(), due);
    EXPECT_FALSE(queue.IsGiven());
    queue.Give(Block(1));
    EXPECT_TRUE(queue.IsGiven());
    EXPECT_EQ(queue.TryTake(), Block(1));
  }
}

TEST_F(BlockQueueTest, KnowsWhatItHas) {
  for (int i = 0; i < 5; ++i) queue.Give(Block(i));
  ASSERT_EQ(queue.TryTake(), Block(0));
  EXPECT_FALSE(queue.Has(Block(0)));
  EXPECT_TRUE(queue.Has(Block(1)));
  EXPECT_TRUE(queue.Has(Block(4)));
  EXPECT_FALSE(queue.Has(Block(5)));
}

TEST(BlockQueuePlacesTest, LargeBlocksHaveFew) {
  for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
    const uint64_t places = BlockQueue::Places(size_class);
    EXPECT_TRUE(std::has_single_bit(places));
    EXPECT_LE(places, BlockQueue::kPlacesMax);
    if (places > 4) {
      EXPECT_LE(places * BlockBytes(size_class), 64 * kKiB);
    }
  }
}

}  // namespace
}  // namespace morsel::alloc
