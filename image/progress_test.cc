// What is reported while an image is stored or loaded.
#include "image/pipeline/progress.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <map>
#include <vector>

#include "image/image_copy.h"
#include "image/image_testing.h"

namespace morsel::image {
namespace {

class ProgressTest : public ImageTest {
 protected:
  Progress Remember() {
    return [this](const ProgressNow& now) {
      EXPECT_TRUE(pthread_equal(pthread_self(), thread_));
      told_.push_back(now);
    };
  }
  // Makes an image "a" all of whose subtrees have a leaf, and damages the first one.
  void CreateDamaged(uint64_t subtrees) {
    Memory memory = MemoryOf(subtrees);
    for (uint64_t i = 0; i < subtrees; ++i) FillSubtree(memory, i, i + 1);
    ASSERT_TRUE(Create("a", memory).has_value()) << LastError();
    std::string bytes = Bytes("a");
    bytes[kSubtreeBytes + 100] ^= 1;
    SetBytes("a", bytes);
  }
  // Checks that one store or load was reported from nothing to all, and forgets the reports.
  void ExpectTold(Activity activity, uint64_t total_bytes) {
    ASSERT_GE(told_.size(), 2u);
    EXPECT_EQ(told_.front().done_bytes, 0u);
    EXPECT_EQ(told_.back().done_bytes, total_bytes);
    uint64_t last = 0;
    for (const ProgressNow& now : told_) {
      EXPECT_EQ(now.activity, activity);
      EXPECT_EQ(now.total_bytes, total_bytes);
      EXPECT_GE(now.done_bytes, last);
      last = now.done_bytes;
    }
    told_.clear();
  }

  pthread_t thread_ = pthread_self();
  std::vector<ProgressNow> told_;
};

TEST_F(ProgressTest, StoresAndLoadsAreReportedUpToAllOfIt) {
  Memory memory = MemoryOf(6);
  for (uint64_t i = 0; i < 5; ++i) FillSubtree(memory, i, i);
  const Result<os::Directory> directory = os::Directory::Open(TestCalls(), path_);
  Result<ImageFile> image =
      ImageFile::Create(*directory, "a", 0600, InfoFor(memory), memory.data(), nullptr, Remember());
  ASSERT_TRUE(image.has_value()) << LastError();
  ExpectTold(Activity::kStoring, memory.size());
  os::PageSet dirty;
  dirty.Add(0, 3 * kPageBytes);
  dirty.Add(kSubtreeBytes, kPageBytes);
  memory[0] ^= 1;
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &dirty).ok()) << LastError();
  ExpectTold(Activity::kStoring, 4 * kPageBytes);
  Memory loaded = MemoryOf(6);
  ASSERT_TRUE(image->Load(loaded.data()).ok()) << LastError();
  ExpectTold(Activity::kLoading, 5 * kSubtreeBytes);
  const os::PageSet nothing;
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0, &nothing).ok()) << LastError();
  EXPECT_TRUE(told_.empty()) << "nothing was to do";
}

// An image is verified before it is copied.
TEST_F(ProgressTest, CopyReportsVerifyingAndStoring) {
  Memory memory = MemoryOf(3);
  FillSubtree(memory, 0, 1);
  FillSubtree(memory, 2, 2);
  Result<ImageFile> image = Create("a", memory);
  ASSERT_TRUE(image.has_value()) << LastError();
  image->set_progress(Remember());
  const Result<os::Directory> directory = os::Directory::Open(os::KernelCalls(), path_);
  ASSERT_TRUE(directory.has_value()) << LastError();
  ASSERT_TRUE(CopyInto(*image, *directory, "b", {}).ok()) << LastError();
  std::map<Activity, ProgressNow> last;
  for (const ProgressNow& now : told_) last[now.activity] = now;
  ASSERT_EQ(last.size(), 2u);
  EXPECT_EQ(last[Activity::kVerifying].done_bytes, 2 * kSubtreeBytes);
  EXPECT_EQ(last[Activity::kVerifying].total_bytes, 2 * kSubtreeBytes);
  EXPECT_GT(last[Activity::kStoring].total_bytes, 2 * kSubtreeBytes) << "with sums and tables";
  EXPECT_EQ(last[Activity::kStoring].done_bytes, last[Activity::kStoring].total_bytes);
  EXPECT_EQ(told_.front().activity, Activity::kVerifying);
}

TEST_F(ProgressTest, RecodingReportsEachLeafOnce) {
  Memory memory = MemoryOf(12);
  for (uint64_t i = 0; i < 11; ++i) FillSubtree(memory, i, i + 1);
  Result<ImageFile> image = Create("a", memory);
  ASSERT_TRUE(image.has_value()) << LastError();
  memory[12345] ^= 1;
  ASSERT_TRUE(image->Store(memory.data(), memory.size(), 0).ok()) << LastError();
  image->set_progress(Remember());
  const Result<os::Directory> directory = os::Directory::Open(os::KernelCalls(), path_);
  ASSERT_TRUE(directory.has_value()) << LastError();
  ASSERT_TRUE(RecodeInto(*image, Codec::kLz4, *directory, "b", {}).ok()) << LastError();
  ExpectTold(Activity::kStoring, 11 * kSubtreeBytes);
}

// What is damaged counts as done, too.
TEST_F(ProgressTest, LoadOfADamagedImageIsReportedUpToAllOfIt) {
  ASSERT_NO_FATAL_FAILURE(CreateDamaged(3));
  Result<ImageFile> image = Open("a", true);
  ASSERT_TRUE(image.has_value()) << LastError();
  image->set_progress(Remember());
  int damaged = 0;
  const Damaged count = [&](Status) {
    ++damaged;
    return Status();
  };
  Memory found = MemoryOf(3);
  ASSERT_TRUE(image->LoadIntact(found.data(), count).ok()) << LastError();
  EXPECT_EQ(damaged, 1);
  ExpectTold(Activity::kLoading, 3 * kSubtreeBytes);
}

TEST_F(ProgressTest, FailureIsNotReportedAsTheEnd) {
  ASSERT_NO_FATAL_FAILURE(CreateDamaged(2));
  Result<ImageFile> image = Open("a", true);
  ASSERT_TRUE(image.has_value()) << LastError();
  image->set_progress(Remember());
  Memory memory = MemoryOf(2);
  EXPECT_EQ(image->Load(memory.data()).code(), Code::kCorrupt);
  ASSERT_FALSE(told_.empty());
  EXPECT_LT(told_.back().done_bytes, told_.back().total_bytes);
}

// However often something advances.
TEST(ProgressMeter, ReportsAFewTimesASecond) {
  int calls = 0;
  const Progress progress = [&](const ProgressNow&) { ++calls; };
  const auto begin = std::chrono::steady_clock::now();
  ProgressMeter meter(progress, Activity::kLoading, 1 << 30);
  for (int i = 0; i < 200000; ++i) meter.Advance(1);
  meter.Finish();
  const auto intervals = (std::chrono::steady_clock::now() - begin) / kProgressInterval;
  EXPECT_GE(calls, 2);
  EXPECT_LE(calls, 2 + intervals);
}

}  // namespace
}  // namespace morsel::image
