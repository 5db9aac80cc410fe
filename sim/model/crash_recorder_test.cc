#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "sim/model/crash_recorder_testing.h"

namespace morsel::pmem {
namespace {

struct alignas(kPageBytes) Page {
  uint64_t words[kPageBytes / sizeof(uint64_t)] = {};
};

class CrashRecorderTest : public testing::Test {
 protected:
  // The pairs of first words of the first two lines that a crash may leave.
  std::set<std::pair<uint64_t, uint64_t>> Images(uint64_t images_max = 1000) {
    std::set<std::pair<uint64_t, uint64_t>> images;
    recorder_.ForEachImage(images_max, random_, [&] {
      images.emplace(page_.words[0], page_.words[8]);
      page_.words[100] = 7;
    });
    EXPECT_EQ(page_.words[100], 0u);
    return images;
  }

  using Set = std::set<std::pair<uint64_t, uint64_t>>;
  Page page_;
  std::mt19937_64 random_{1};
  CrashRecorder recorder_{{{reinterpret_cast<char*>(&page_), sizeof page_}}};
  Persist persist_ = recorder_.persist();
};

TEST_F(CrashRecorderTest, StoresMayBeLostUntilFlushedAndFenced) {
  EXPECT_EQ(Images(), Set({{0, 0}}));
  page_.words[0] = 1;
  page_.words[8] = 2;
  EXPECT_EQ(Images(), Set({{0, 0}, {0, 2}, {1, 0}, {1, 2}}));
  persist_.Flush(&page_.words[0], 8);
  EXPECT_EQ(Images(), Set({{0, 0}, {0, 2}, {1, 0}, {1, 2}}));
  persist_.Fence();
  EXPECT_EQ(Images(), Set({{1, 0}, {1, 2}}));
  persist_.Range(&page_, sizeof page_);
  EXPECT_EQ(Images(), Set({{1, 2}}));
  EXPECT_EQ(recorder_.undecided_lines(), 0u);
}

TEST_F(CrashRecorderTest, AFlushDoesNotCoverLaterStores) {
  page_.words[0] = 1;
  persist_.Flush(&page_.words[0], 8);
  page_.words[0] = 2;
  persist_.Fence();
  EXPECT_EQ(Images(), Set({{1, 0}, {2, 0}}));
}

TEST_F(CrashRecorderTest, AFenceCoversItsOwnThreadOnly) {
  page_.words[0] = 1;
  std::thread([&] { persist_.Flush(&page_.words[0], 8); }).join();
  persist_.Fence();
  EXPECT_EQ(Images(), Set({{0, 0}, {1, 0}}));
}

TEST_F(CrashRecorderTest, EachObservedValueMayBeLeft) {
  for (uint64_t value = 1; value <= 3; ++value) {
    page_.words[0] = value;
    recorder_.Observe();
  }
  EXPECT_EQ(Images(), Set({{0, 0}, {1, 0}, {2, 0}, {3, 0}}));
}

TEST_F(CrashRecorderTest, AKillLeavesLinesUndecided) {
  page_.words[0] = 1;
  recorder_.Observe();
  CrashRecorder after = recorder_.AfterKill();
  page_.words[8] = 1;
  after.persist().Range(&page_.words[8], 8);
  std::set<uint64_t> first;
  after.ForEachImage(10, random_, [&] { first.insert(page_.words[0]); });
  EXPECT_EQ(first, (std::set<uint64_t>{0, 1}));
}

TEST_F(CrashRecorderTest, SamplesTornImagesWhenThereAreTooMany) {
  for (uint64_t i = 0; i < 64; ++i) page_.words[i] = i + 1;
  std::set<uint64_t> prefixes;
  uint64_t count = 0;
  recorder_.ForEachImage(200, random_, [&] {
    ++count;
    uint64_t prefix = 0;
    while (prefix < 8 && page_.words[prefix] == prefix + 1) ++prefix;
    for (uint64_t i = prefix; i < 8; ++i) EXPECT_EQ(page_.words[i], 0u);
    prefixes.insert(prefix);
  });
  EXPECT_EQ(count, 200u);
  EXPECT_GT(prefixes.size(), 4u);
}

TEST_F(CrashRecorderTest, CallsBeforeFenceWhenAFenceBegins) {
  uint64_t undecided = 0;
  recorder_.set_before_fence([&] {
    recorder_.Observe();
    undecided = recorder_.undecided_lines();
  });
  page_.words[0] = 1;
  persist_.Range(&page_.words[0], 8);
  EXPECT_EQ(undecided, 1u);
  EXPECT_EQ(recorder_.undecided_lines(), 0u);
}

}  // namespace
}  // namespace morsel::pmem
