#include "alloc/heap/threads/magazines.h"

#include <gtest/gtest.h>

#include <vector>

namespace morsel::alloc {
namespace {

class MagazinesTest : public testing::Test {
 protected:
  static constexpr unsigned kClass = 0;
  static constexpr uint64_t kPlaces = Magazines::Places(kClass);

  MagazinesTest()
      : words_(Magazines::Words(kClass)),
        blocks_(16 * 4 * kPlaces),
        magazines_(ready_, words_.data(), kClass) {}

  char* Block(uint64_t i) { return &blocks_[16 * i]; }
  std::vector<void*> TakeAll() {
    std::vector<void*> all;
    while (void* const block = magazines_.TryTake()) all.push_back(block);
    return all;
  }
  uint64_t GiveAll(uint64_t first) {
    uint64_t count = 0;
    while (magazines_.TryGive(Block(first + count))) ++count;
    return count;
  }

  std::vector<void*> words_;
  std::vector<char> blocks_;
  ReadyBlocks ready_;
  Magazines magazines_;
};

TEST(ReadyBlocksTest, WithoutMagazinesNoBlockIsReady) {
  ReadyBlocks ready;
  EXPECT_EQ(ready.TryTake(), nullptr);
  EXPECT_EQ(ready.TryTake(), nullptr);
}

TEST_F(MagazinesTest, FreedBlocksAreReadyAfterAnExchange) {
  EXPECT_EQ(magazines_.TryTake(), nullptr);
  for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(magazines_.TryGive(Block(i)));
  EXPECT_EQ(magazines_.TryTake(), nullptr);
  EXPECT_EQ(magazines_.FreedCount(), 3u);
  magazines_.Exchange();
  EXPECT_EQ(magazines_.FreedCount(), 0u);
  EXPECT_EQ(TakeAll(), (std::vector<void*>{Block(2), Block(1), Block(0)}));
  EXPECT_EQ(magazines_.TryTake(), nullptr);
}

TEST_F(MagazinesTest, BothHoldAsManyAsTheyHavePlaces) {
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(GiveAll(0), kPlaces);
    magazines_.Exchange();
    EXPECT_EQ(GiveAll(kPlaces), kPlaces);
    EXPECT_EQ(TakeAll().size(), kPlaces);
    magazines_.Exchange();
    const std::vector<void*> second = TakeAll();
    EXPECT_EQ(second.size(), kPlaces);
    EXPECT_EQ(second.back(), Block(kPlaces));
  }
}

TEST_F(MagazinesTest, FilledInBlocksAreHandedOutInOrder) {
  for (const uint64_t count : {0u, 1u, 3u, 4u, 7u, 32u, 64u}) {
    Magazines::Filling filling(magazines_);
    filling.Add(Block(3), 16, static_cast<int>(count / 2));
    filling.Add(Block(100), 32, static_cast<int>(count - count / 2));
    filling.End();
    std::vector<void*> due;
    for (uint64_t i = 0; i < count / 2; ++i) due.push_back(Block(3 + i));
    for (uint64_t i = 0; i < count - count / 2; ++i) due.push_back(Block(100 + 2 * i));
    ASSERT_TRUE(magazines_.TryGive(Block(0)));
    EXPECT_EQ(TakeAll(), due) << count;
    // The magazine that was filled in part still has old blocks below the ones that it held.
    magazines_.Exchange();
    EXPECT_EQ(TakeAll(), (std::vector<void*>{Block(0)}));
    EXPECT_EQ(GiveAll(0), kPlaces);
    magazines_.Exchange();
    EXPECT_EQ(TakeAll().size(), kPlaces);
  }
}

TEST_F(MagazinesTest, TheBlockThatWasGivenLastIsRejected) {
  ASSERT_TRUE(magazines_.TryGive(Block(1)));
  EXPECT_FALSE(magazines_.TryGive(Block(1)));
  EXPECT_TRUE(magazines_.WasGivenLast(Block(1)));
  ASSERT_TRUE(magazines_.TryGive(Block(2)));
  EXPECT_FALSE(magazines_.WasGivenLast(Block(1)));
  magazines_.Exchange();
  EXPECT_FALSE(magazines_.WasGivenLast(Block(2)));
  EXPECT_EQ(TakeAll().size(), 2u);
}

TEST(MagazinesPlacesTest, MagazinesOfLargeBlocksHaveFewPlaces) {
  for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
    const uint64_t places = Magazines::Places(size_class);
    EXPECT_GE(places, 1u);
    EXPECT_LE(places, Magazines::kPlacesMax);
    if (places > 1) {
      EXPECT_LE(places * BlockBytes(size_class), 32 * kKiB);
    }
  }
}

}  // namespace
}  // namespace morsel::alloc
