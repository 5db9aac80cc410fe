// Power is lost at every write of an image with a log, and one superblock rots beside that.
#include <gtest/gtest.h>

#include <random>

#include "image/log_testing.h"
#include "os/testing/seed_testing.h"
#include "sim/disk/recording_testing.h"

namespace morsel::image {
namespace {

using sim::RecordingCalls;

constexpr uint64_t kImages = kSlowBuild ? 4 : 12;

class LogCrashTest : public LogTest {
 protected:
  void SetUp() override {
    LogTest::SetUp();
    image_.reset();
    random_.seed(TestSeed(1));
  }
  void Record(const std::string& bytes) {
    recording_.emplace(bytes);
    Result<ImageFile> image = Open("a", false, *recording_);
    ASSERT_TRUE(image.has_value()) << LastError();
    image_.emplace(std::move(*image));
  }
  void ExpectOneOf(const std::string& bytes, const Memory& last, const Memory& next) {
    SetBytes("crashed", bytes);
    const Result<Memory> found = Read("crashed");
    ASSERT_TRUE(found.has_value()) << LastError();
    ASSERT_TRUE(*found == last || *found == next);
    ++crashes_;
  }
  void ExpectEveryCrash(const Memory& last, const Memory& next) {
    recording_->ForEachImage(kImages, random_, [&](const std::string& bytes) {
      if (!HasFatalFailure()) ExpectOneOf(bytes, last, next);
    });
  }
  // What a checkpoint or an open has promised holds by either slot, where there is a log.
  void ExpectEveryCrashBeside(const Memory& memory) {
    recording_->ForEachImage(kImages, random_, [&](const std::string& bytes) {
      for (const uint64_t slot : {uint64_t{0}, kSuperblockBytes}) {
        std::string rotten = bytes;
        rotten[slot + 200] ^= 1;
        if (!HasFatalFailure()) ExpectOneOf(rotten, memory, memory);
      }
    });
  }
  // Stores what is in memory_ over `last`.
  void StoreAndCrash(const os::PageSet* dirty, const Memory& last) {
    recording_->before_sync = [&] { ExpectEveryCrash(last, memory_); };
    ASSERT_TRUE(image_->Store(memory_.data(), memory_.size(), 0, dirty).ok()) << LastError();
    recording_->before_sync = nullptr;
    ASSERT_NO_FATAL_FAILURE(ExpectEveryCrash(memory_, memory_));
    if (!HasLog(image_->superblock())) return;
    ASSERT_NO_FATAL_FAILURE(ExpectEveryCrashBeside(memory_));
  }

  std::optional<RecordingCalls> recording_;
  std::mt19937_64 random_;
  int crashes_ = 0;
};

TEST_F(LogCrashTest, EveryCrashIsTheLastOrTheNextCheckpoint) {
  ASSERT_NO_FATAL_FAILURE(Record(Bytes("a")));
  for (int checkpoint = 0; checkpoint < 9; ++checkpoint) {
    const Memory last = memory_;
    const os::PageSet dirty = ChangePages(memory_, random_, 1 + random_() % 4);
    // The fourth and the seventh settle the log, the seventh with much.
    if (checkpoint == 6) FillSubtree(memory_, 1, 60);
    const bool is_told = checkpoint % 3 != 0 || checkpoint == 0;
    ASSERT_NO_FATAL_FAILURE(StoreAndCrash(is_told ? &dirty : nullptr, last)) << checkpoint;
  }
  EXPECT_GT(crashes_, 60);
}

// One slot is damaged when the image is opened. Afterwards both lead to its records.
TEST_F(LogCrashTest, OpeningMakesBothSlotsDurable) {
  ASSERT_NO_FATAL_FAILURE(Reopen());
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  ASSERT_NO_FATAL_FAILURE(Commit({2}));
  image_.reset();
  const std::string whole = Bytes("a");
  for (const uint64_t slot : {uint64_t{0}, kSuperblockBytes}) {
    std::string bytes = whole;
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(slot), kSuperblockBytes, '\0');
    SetBytes("a", bytes);
    ASSERT_NO_FATAL_FAILURE(Record(bytes));
    ASSERT_NO_FATAL_FAILURE(ExpectEveryCrashBeside(memory_)) << slot;
    image_.reset();
  }
}

// What the log has is put into its place, and the log is given up.
TEST_F(LogCrashTest, SettlingChangesNothing) {
  ASSERT_NO_FATAL_FAILURE(Reopen());
  ASSERT_NO_FATAL_FAILURE(Commit({1, 600}));
  ASSERT_NO_FATAL_FAILURE(Commit({2}));
  ASSERT_NO_FATAL_FAILURE(Record(Bytes("a")));
  recording_->before_sync = [&] { ExpectEveryCrash(memory_, memory_); };
  ASSERT_TRUE(image_->Settle(memory_.data()).ok()) << LastError();
  recording_->before_sync = nullptr;
  ASSERT_NO_FATAL_FAILURE(ExpectEveryCrashBeside(memory_));
}

}  // namespace
}  // namespace morsel::image
