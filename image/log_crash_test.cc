// Power is lost at every write of an image with a log, and one superblock rots beside that.
#include <gtest/gtest.h>

#include <random>

#include "image/format/superblock.h"
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
      for (const uint64_t slot : kSlotOffsets) {
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
  for (const uint64_t slot : kSlotOffsets) {
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

// Each superblock that is written while images are made, stored with a list and without, lose the
// name that they carry, and get, settle and lose a log.
class TornSlotTest : public LogTest {
 protected:
  struct Written {
    std::vector<std::string> slots;  // before
    size_t slot;
    std::string bytes;
  };
  void SetUp() override {
    calls_.AfterEach([this](const os::Call& call) {
      const bool is_slot = call.kind == os::Call::kWrite && call.size_bytes == kSuperblockBytes &&
                           (call.offset == kSlotOffsets[0] || call.offset == kSlotOffsets[1]);
      if (!is_slot) return;
      const std::string bytes(static_cast<const char*>(call.bytes), call.size_bytes);
      const size_t slot = call.offset == kSlotOffsets[0] ? 0 : 1;
      written_.push_back({slots_, slot, bytes});
      slots_[slot] = bytes;
    });
    LogTest::SetUp();
  }
  void StorePages(uint64_t first, uint64_t count) {
    std::vector<uint64_t> pages;
    for (uint64_t i = first; i < first + count; ++i) pages.push_back(3 * i);
    ASSERT_TRUE(Store(Change(pages)).ok()) << LastError();
  }
  // Lists of some pages, until these are so many that they are settled.
  void StoreLists() {
    for (uint64_t first = 0; first < 300; first += 100) {
      ASSERT_NO_FATAL_FAILURE(StorePages(first, 100));
      ASSERT_EQ(image_->superblock().lists[1].count, first < 200 ? first + 100 : 0);
    }
  }
  // Makes another image, with a name.
  void Begin(const char* name) {
    slots_.assign(2, std::string(kSuperblockBytes, '\0'));
    ImageInfo info = InfoFor(memory_);
    info.carried_name = "as it was called";
    const Result<os::Directory> directory = os::Directory::Open(calls_, path_);
    Result<ImageFile> image = ImageFile::Create(*directory, name, 0600, info, memory_.data());
    ASSERT_TRUE(image.has_value()) << LastError();
    image_.emplace(std::move(*image));
  }

  // The slots, if power is lost during the write and leaves those of the sectors.
  static std::string Torn(const Written& of, uint64_t kept) {
    std::vector<std::string> slots = of.slots;
    for (uint64_t sector = 0; sector < kSectors; ++sector) {
      if ((kept >> sector & 1) == 0) continue;
      const uint64_t at = sector * kSectorBytes;
      slots[of.slot].replace(at, kSectorBytes, of.bytes, at, kSectorBytes);
    }
    std::string file(kFileBytesMin, '\0');
    for (size_t i = 0; i < 2; ++i) file.replace(kSlotOffsets[i], kSuperblockBytes, slots[i]);
    return file;
  }

  static constexpr uint64_t kSectorBytes = 512;
  // Those behind them are zeros in each.
  static constexpr uint64_t kSectors = DivideUp(offsetof(ImageSuperblock, reserved), kSectorBytes);
  std::vector<std::string> slots_ =
      std::vector<std::string>(2, std::string(kSuperblockBytes, '\0'));
  std::vector<Written> written_;
};

TEST_F(TornSlotTest, NoTornSuperblockIsToldAsDamage) {
  setenv("MORSEL_LOG", "never", 1);
  ASSERT_NO_FATAL_FAILURE(Begin("many"));
  ASSERT_NO_FATAL_FAILURE(StoreLists());
  setenv("MORSEL_LOG", "always", 1);
  Result<ImageFile> image = Open("many", false, calls_);
  ASSERT_TRUE(image.has_value()) << LastError();
  image_.emplace(std::move(*image));
  for (int round = 0; round < 2; ++round) {
    ASSERT_NO_FATAL_FAILURE(StorePages(1, 2));
    ASSERT_NO_FATAL_FAILURE(StorePages(7, 1));
    ASSERT_NO_FATAL_FAILURE(StorePages(0, 500));
    ASSERT_NO_FATAL_FAILURE(StorePages(3, 1));
    ASSERT_TRUE(image_->Settle(memory_.data()).ok()) << LastError();
    if (round > 0) continue;
    ASSERT_NO_FATAL_FAILURE(Begin("with a log"));
  }
  uint64_t doubts = 0;
  for (const Written& of : written_) {
    if (of.slots[1 - of.slot] == std::string(kSuperblockBytes, '\0'))
      continue;  // the file has no name yet
    for (uint64_t kept = 0; kept < uint64_t{1} << kSectors; ++kept) {
      SetBytes("torn", Torn(of, kept));
      const Result<os::File> file =
          os::File::Open(TestCalls(), AT_FDCWD, path_ + "/torn", O_RDONLY, 0, "torn");
      const Result<ImageSuperblocks> found = ReadSuperblocks(*file);
      ASSERT_TRUE(found.has_value()) << LastError();
      ASSERT_NE(found->doubt, Doubt::kDamaged) << kept << " of " << found->current->sequence;
      doubts += found->doubt == Doubt::kUnfinished;
    }
  }
  EXPECT_GT(doubts, 20U);
}

}  // namespace
}  // namespace morsel::image
