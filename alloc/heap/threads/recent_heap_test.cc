#include "alloc/heap/threads/recent_heap.h"

#include <gtest/gtest.h>

namespace morsel::alloc {
namespace {

class RecentHeapTest : public testing::Test {
 protected:
  void SetUp() override { slot_.Fill(Whose(), nullptr); }

  const Heap* Whose() const { return reinterpret_cast<const Heap*>(&heap_); }

  char heap_ = 0;
  int key_ = 0;
  int other_key_ = 0;
  ThreadSlot slot_;
  RecentHeap recent_;
};

TEST_F(RecentHeapTest, IsEnteredOnlyByItsKey) {
  EXPECT_FALSE(recent_.Enter(nullptr));
  EXPECT_FALSE(recent_.Enter(&key_));
  recent_.Become(&key_, Whose(), slot_, {});
  EXPECT_EQ(recent_.TheSlot(), &slot_);
  EXPECT_FALSE(recent_.Enter(&other_key_));
  EXPECT_FALSE(recent_.Enter(nullptr));
  EXPECT_EQ(recent_.inside.load(), 0u);
  ASSERT_TRUE(recent_.Enter(&key_));
  EXPECT_EQ(recent_.inside.load(), 1u);
  recent_.Leave();
  EXPECT_EQ(recent_.inside.load(), 0u);
}

TEST_F(RecentHeapTest, IsForgottenOnlyByItsKey) {
  recent_.Become(&key_, Whose(), slot_, {});
  recent_.ForgetIf(&other_key_);
  EXPECT_TRUE(recent_.Is(&key_));
  recent_.ForgetIf(&key_);
  EXPECT_FALSE(recent_.Is(&key_));
}

// Another thread has emptied the slot since this thread entered it.
TEST_F(RecentHeapTest, BecomesNoHeapWhoseSlotWasEmptied) {
  slot_.Empty();
  recent_.Become(&key_, Whose(), slot_, {});
  EXPECT_FALSE(recent_.Enter(&key_));
}

}  // namespace
}  // namespace morsel::alloc
