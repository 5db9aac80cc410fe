#include "alloc/heap/threads/pending_lines.h"

#include <gtest/gtest.h>

#include <vector>

namespace morsel::alloc {
namespace {

// Records what is flushed.
struct Medium {
  std::vector<const void*> flushed;

  pmem::Persist persist() {
    static constexpr pmem::PersistTable kTable = {
        .flush = [](void* context, const void* address,
                    size_t) { static_cast<Medium*>(context)->flushed.push_back(address); },
        .fence = [](void*) {},
    };
    return pmem::Persist(&kTable, this);
  }
};

struct alignas(kLineBytes) Line {
  char bytes[kLineBytes];
};

struct PendingLinesTest : testing::Test {
  Medium medium;
  PendingLines pending;
  std::vector<Line> lines{200};
  std::vector<LineCounter> counters{200};
  const void* end = lines.data() + lines.size();
};

TEST_F(PendingLinesTest, ALineThatIsAddedTwiceIsFlushedOnce) {
  counters[0].Stored();
  EXPECT_TRUE(pending.Add(&counters[0], &lines[0]));
  counters[0].Stored();
  EXPECT_TRUE(pending.Add(&counters[0], &lines[0]));
  pending.Flush(medium.persist(), end);
  EXPECT_EQ(medium.flushed, std::vector<const void*>{&lines[0]});
  EXPECT_FALSE(counters[0].IsDurable());
  pending.Fenced();
  EXPECT_TRUE(counters[0].IsDurable());
  EXPECT_TRUE(pending.empty());
}

TEST_F(PendingLinesTest, AStoreAfterTheAddIsNotDurable) {
  counters[0].Stored();
  ASSERT_TRUE(pending.Add(&counters[0], &lines[0]));
  counters[0].Stored();
  pending.Flush(medium.persist(), end);
  pending.Fenced();
  EXPECT_FALSE(counters[0].IsDurable());
}

// As where a slab was released, and one of another class was made there.
TEST_F(PendingLinesTest, ALineThatHasMovedIsFlushedWhereItIs) {
  counters[0].Stored();
  ASSERT_TRUE(pending.Add(&counters[0], &lines[0]));
  counters[0].Stored();
  ASSERT_TRUE(pending.Add(&counters[0], &lines[1]));
  pending.Flush(medium.persist(), end);
  EXPECT_EQ(medium.flushed, (std::vector<const void*>{&lines[0], &lines[1]}));
  pending.Fenced();
  EXPECT_TRUE(counters[0].IsDurable());
}

TEST_F(PendingLinesTest, AddReturnsFalseWhenThereIsNoRoom) {
  size_t added = 0;
  while (added < counters.size() && pending.Add(&counters[added], &lines[added])) ++added;
  EXPECT_GT(added, 16u);
  ASSERT_LT(added, counters.size());
  EXPECT_TRUE(pending.Add(&counters[added - 1], &lines[added - 1])) << "it is there";
}

TEST_F(PendingLinesTest, LinesBehindTheEndAreNotFlushed) {
  for (const int i : {0, 1, 2}) {
    counters[i].Stored();
    ASSERT_TRUE(pending.Add(&counters[i], &lines[i]));
  }
  pending.Flush(medium.persist(), &lines[1]);
  EXPECT_EQ(medium.flushed, std::vector<const void*>{&lines[0]});
}

}  // namespace
}  // namespace morsel::alloc
