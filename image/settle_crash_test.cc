// Power is lost at every write of a settle, of what recovers from that, and of the settle after it;
// and one superblock rots beside that.
#include <gtest/gtest.h>

#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "image/format/superblock.h"
#include "image/log_testing.h"
#include "os/testing/seed_testing.h"
#include "sim/disk/recording_testing.h"

namespace morsel::image {
namespace {

using sim::RecordingCalls;

constexpr uint64_t kImages = kSlowBuild ? 4 : 16;

class SettleCrashTest : public LogTest {
 protected:
  void SetUp() override {
    LogTest::SetUp();
    random_.seed(TestSeed(1));
  }
  void Record(const std::string& bytes) {
    image_.reset();
    SetBytes("a", bytes);
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
  // Of what a power cut may leave now: it is one of two states, also by one superblock alone. Some
  // of it is kept for what comes then.
  void ExpectEveryCrash(const Memory& last, const Memory& next) {
    recording_->ForEachImage(kImages, random_, [&](const std::string& bytes) {
      if (HasFatalFailure()) return;
      ExpectOneOf(bytes, last, next);
      kept_ = bytes;
      SetBytes("slots", bytes);
      const Result<os::File> file =
          os::File::Open(TestCalls(), AT_FDCWD, path_ + "/slots", O_RDONLY, 0, "slots");
      const Result<ImageSuperblocks> slots = ReadSuperblocks(*file);
      if (!slots || !slots->other) return;
      for (const uint64_t slot : kSlotOffsets) {
        std::string rotten = bytes;
        rotten[slot + 300] ^= 1;
        if (!HasFatalFailure()) ExpectOneOf(rotten, last, next);
      }
    });
  }
  void SettleAndCrash(const Memory& memory) {
    recording_->before_sync = [&] { ExpectEveryCrash(memory, memory); };
    ASSERT_TRUE(image_->Settle(memory.data()).ok()) << LastError();
    recording_->before_sync = nullptr;
    ASSERT_NO_FATAL_FAILURE(ExpectEveryCrash(memory, memory));
  }

  std::optional<RecordingCalls> recording_;
  std::mt19937_64 random_;
  std::string kept_;
  int crashes_ = 0;
};

TEST_F(SettleCrashTest, EveryCrashOfASettleIsTheSameState) {
  for (int round = 0; round < 4; ++round) {
    ASSERT_NO_FATAL_FAILURE(Reopen());
    ASSERT_NO_FATAL_FAILURE(Commit({1, 2, 600}));
    ASSERT_NO_FATAL_FAILURE(Commit({2, 1030 + static_cast<uint64_t>(round)}));
    ASSERT_NO_FATAL_FAILURE(Record(Bytes("a")));
    ASSERT_NO_FATAL_FAILURE(SettleAndCrash(memory_));
    SetBytes("a", recording_->durable());
  }
  std::printf("%d crashes\n", crashes_);
  EXPECT_GT(crashes_, kSlowBuild ? 100 : 200);
}

// Crash, recovery and settle, three times in a row.
TEST_F(SettleCrashTest, ASettleGoesOnWhereOneWasCutOff) {
  ASSERT_NO_FATAL_FAILURE(Commit({1, 2, 600, 700}));
  ASSERT_NO_FATAL_FAILURE(Commit({2, 3, 1030}));
  std::string bytes = Bytes("a");
  for (int round = 0; round < 3; ++round) {
    image_.reset();
    SetBytes("a", bytes);
    recording_.emplace(bytes);
    recording_->before_sync = [&] { ExpectEveryCrash(memory_, memory_); };
    Result<ImageFile> image = Open("a", false, *recording_);
    ASSERT_TRUE(image.has_value()) << LastError();
    image_.emplace(std::move(*image));
    // The first sync of the settle is that of what is in its places.
    int syncs = 0;
    std::string cut_off;
    recording_->before_sync = [&] {
      ExpectEveryCrash(memory_, memory_);
      if (syncs++ == 0) cut_off = kept_;
    };
    ASSERT_TRUE(image_->Settle(memory_.data()).ok()) << LastError();
    recording_->before_sync = nullptr;
    ASSERT_FALSE(HasFatalFailure());
    bytes = cut_off;
  }
}

// The sync of a settle's superblock fails. Who opens then finds it in the cache, and has a second
// slot to write: if power is lost, not both are torn. (They differ from what they replace in
// several sectors, as the log was found whole before.)
TEST_F(SettleCrashTest, OpeningMakesTheSuperblockOfASettleDurableFirst) {
  ASSERT_NO_FATAL_FAILURE(Commit({1, 600}));
  ASSERT_NO_FATAL_FAILURE(Record(Bytes("a")));
  ASSERT_NE(image_->superblock().log_whole, 0U);
  recording_->syncs_until_failure = 1;
  ASSERT_EQ(image_->Settle(memory_.data()).code(), Code::kIo);
  image_.reset();
  int syncs = 0;
  recording_->before_sync = [&] {
    ExpectEveryCrash(memory_, memory_);
    ++syncs;
  };
  Result<ImageFile> image = Open("a", false, *recording_);
  ASSERT_TRUE(image.has_value()) << LastError();
  EXPECT_EQ(syncs, 2);
}

// Commits of much: pages are durable elsewhere before they are in their places.
TEST_F(SettleCrashTest, EveryCrashOfACommitOfMuchIsTheLastStateOrTheNext) {
  ASSERT_NO_FATAL_FAILURE(Commit({1}));
  ASSERT_NO_FATAL_FAILURE(Record(Bytes("a")));
  for (int commit = 0; commit < 3; ++commit) {
    const Memory last = memory_;
    std::vector<uint64_t> pages;
    for (uint64_t i = 0; i < 300; ++i) pages.push_back(5 * i + random_() % 5);
    const os::PageSet dirty = Change(pages);
    recording_->before_sync = [&] { ExpectEveryCrash(last, memory_); };
    ASSERT_TRUE(Store(dirty).ok()) << LastError();
    recording_->before_sync = nullptr;
    ASSERT_NO_FATAL_FAILURE(ExpectEveryCrash(memory_, memory_)) << commit;
    EXPECT_TRUE(image_->tree().listed.empty());
  }
}

// Nothing that is settled is lost where the second superblock of what it was could not be written.
TEST_F(SettleCrashTest, NothingIsPutIntoPlacesBeforeBothSlotsLeadToIt) {
  os::ScriptedCalls calls;
  image_.reset();
  setenv("MORSEL_LOG", "never", 1);
  Result<ImageFile> image = Open("a", false, calls);
  ASSERT_TRUE(image.has_value()) << LastError();
  const Memory last = memory_;
  std::vector<uint64_t> pages;
  for (uint64_t i = 0; i < 300; ++i) pages.push_back(5 * i);
  const os::PageSet dirty = Change(pages);
  int slots = 0;
  calls.Play([&](const os::Call& call) {
    const bool is_slot = call.kind == os::Call::kWrite &&
                         (call.offset == kSlotOffsets[0] || call.offset == kSlotOffsets[1]);
    return is_slot && slots++ > 0 ? EIO : 0;
  });
  ASSERT_TRUE(image->Store(memory_.data(), memory_.size(), 0, &dirty).ok()) << LastError();
  calls.Heal();
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("a", memory_));
  std::string bytes = Bytes("a");
  bytes[SlotOffset(image->superblock().sequence) + 300] ^= 1;
  SetBytes("older", bytes);
  ASSERT_NO_FATAL_FAILURE(ExpectHolds("older", last));
}

}  // namespace
}  // namespace morsel::image
