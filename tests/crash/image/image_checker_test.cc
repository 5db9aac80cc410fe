// Negative tests of the checker: it reports each kind of damage that it is there to find.
#include "tests/crash/image/image_checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "os/testing/scratch_testing.h"
#include "tests/crash/image/image_pool.h"
#include "tests/crash/image/image_writer.h"
#include "tests/crash/shared_file.h"

namespace morsel::crash {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class ImageChecker : public testing::Test {
 protected:
  void SetUp() override {
    Child maker([&] {
      MakeImagePool(pool_path_, *log_);
      return 0;
    });
    ASSERT_EQ(maker.Wait(), "") << log_->failure.text;
    Write(1);
    ASSERT_THAT(Check(), IsEmpty());
  }

  void Write(uint64_t seed) {
    Child writer(
        [&] { return RunImageWriter(pool_path_, seed, 2, Calls::kNoneDuringCheckpoints, *log_); });
    ASSERT_EQ(writer.Wait(), "") << log_->failure.text;
  }

  Findings Check() {
    return FindInChild(
        [&] { return CheckImage(pool_path_, {.seed = 2, .fresh_blocks = 1000}, *log_); });
  }

  LoggedCheckpoint& Last() { return log_->CheckpointOf(log_->completed.load()); }

  /// One more checkpoint, of which the log says that it has the same bytes as the last.
  void Change(const std::function<void(morsel_t*)>& change) {
    const LoggedCheckpoint last = Last();
    Child child([&] {
      morsel_pool_t* pool = nullptr;
      morsel_t* morsel = nullptr;
      Must(log_->failure, "pool", morsel_pool_open(pool_path_.c_str(), nullptr, &pool));
      Must(log_->failure, "open", morsel_open(pool, kImageName, nullptr, &morsel));
      change(morsel);
      Must(log_->failure, "close", morsel_close(morsel));
      return 0;
    });
    ASSERT_EQ(child.Wait(), "") << log_->failure.text;
    log_->begun.store(last.generation + 1);
    log_->completed.store(last.generation + 1);
    Last() = last;
  }

  os::Scratch scratch_ = os::Scratch::OnDisk();
  std::string pool_path_ = scratch_.At("pool");
  SharedFile<ImageLog> log_{scratch_.At("log")};
};

TEST_F(ImageChecker, FindsASumWithOneChangedBit) {
  Last().bytes.high ^= 1;
  EXPECT_THAT(Check(), Contains(HasSubstr("its bytes are not what they were")));
}

TEST_F(ImageChecker, FindsAChangedByteInFreeSpace) {
  Change([](morsel_t* morsel) {
    static_cast<char*>(morsel_base(morsel))[morsel_size(morsel) - 1] ^= 1;
  });
  EXPECT_THAT(Check(), Contains(HasSubstr("its bytes are not what they were")));
}

TEST_F(ImageChecker, FindsAnExtraBlock) {
  Change([](morsel_t* morsel) { EXPECT_NE(morsel_malloc(morsel, 100), nullptr); });
  EXPECT_THAT(Check(), Contains(HasSubstr("other bytes are allocated")));
}

TEST_F(ImageChecker, FindsALibraryThatTheLogDoesNotHave) {
  Last().quiet = false;
  ++Last().library_sum;
  EXPECT_THAT(Check(), Contains(HasSubstr("the library is another")));
}

TEST_F(ImageChecker, FindsAChangedLibrary) {
  Last().quiet = false;
  Change([](morsel_t* morsel) {
    Random random(3);
    for (int i = 0; i < 20; ++i) LibraryOf(morsel)->partitions[0].Change(random);
  });
  EXPECT_THAT(Check(), Contains(HasSubstr("the library is another")));
}

TEST_F(ImageChecker, FindsALostCheckpoint) {
  const std::string image = pool_path_ + "/" + kImageName;
  fs::copy_file(image, scratch_.At("older"));
  const uint64_t before = log_->completed.load();
  for (uint64_t seed = 2; log_->completed.load() < before + 2; ++seed) Write(seed);
  ASSERT_THAT(Check(), IsEmpty());
  fs::rename(scratch_.At("older"), image);
  EXPECT_THAT(Check(), Contains(HasSubstr("the morsel is of generation")));
}

TEST_F(ImageChecker, FindsALostMorsel) {
  while (log_->side.load() != Side::kFull) Write(9);
  ASSERT_THAT(Check(), IsEmpty());
  fs::remove(pool_path_ + "/" + kImageSideName);
  EXPECT_THAT(Check(), Contains("the side morsel is absent and was full"));
}

TEST_F(ImageChecker, FindsAHalfMadeMorsel) {
  log_->side.store(Side::kFull);
  Child half([&] {
    morsel_pool_t* pool = nullptr;
    morsel_t* side = nullptr;
    morsel_options create = {};
    create.struct_size = sizeof create;
    create.flags = MORSEL_CREATE;
    Must(log_->failure, "pool", morsel_pool_open(pool_path_.c_str(), nullptr, &pool));
    (void)morsel_remove(pool, kImageSideName);
    Must(log_->failure, "open", morsel_open(pool, kImageSideName, &create, &side));
    return 0;
  });
  ASSERT_EQ(half.Wait(), "") << log_->failure.text;
  EXPECT_THAT(Check(), Contains("the side morsel is empty and was full"));
}

TEST_F(ImageChecker, FindsAFileThatIsLeftBehind) {
  std::ofstream(pool_path_ + "/left") << "behind";
  EXPECT_THAT(Check(), Contains("'left' is left in the pool"));
}

// A thread's third round: it has allocated the blocks of addresses 64, 65, ... .
ChurnCut ThirdRound(uint64_t first, uint64_t last) {
  ChurnCut cut;
  for (uint64_t i = 0; i < kChurnRing; ++i) cut.addresses[i] = i;
  cut.first = first;
  cut.last = last;
  return cut;
}

std::vector<Block> Blocks(std::initializer_list<uint64_t> addresses) {
  std::vector<Block> blocks;
  for (uint64_t address : addresses) blocks.push_back({address, kOthersBlockBytes});
  blocks.push_back({1000, kOthersBlockBytes + 1});  // somebody else's
  return blocks;
}

TEST(WhyNoCut, AllowsTheBlocksOfAnyInstantOfTheCheckpoint) {
  EXPECT_EQ(WhyNoCut(ThirdRound(66, 68), 0, Blocks({64, 65})), "");
  EXPECT_EQ(WhyNoCut(ThirdRound(66, 68), 0, Blocks({64, 65, 66, 67})), "");
  EXPECT_EQ(WhyNoCut(ThirdRound(66, 67), 0, Blocks({64, 65, 66, 900})), "");  // not returned yet
}

TEST(WhyNoCut, RefusesMissingCallsFromBeforeTheCheckpoint) {
  EXPECT_NE(WhyNoCut(ThirdRound(66, 68), 0, Blocks({64})), "");
}

TEST(WhyNoCut, RefusesALaterCallWithoutAnEarlierOne) {
  EXPECT_NE(WhyNoCut(ThirdRound(66, 68), 0, Blocks({64, 65, 67})), "");
}

TEST(WhyNoCut, RefusesCallsFromAfterTheCheckpoint) {
  EXPECT_NE(WhyNoCut(ThirdRound(64, 65), 0, Blocks({64, 65, 66})), "");
}

TEST(WhyNoCut, RefusesFreesOutOfOrder) {
  ChurnCut cut = ThirdRound(126, 127);  // two blocks of the third round are not freed yet
  EXPECT_EQ(WhyNoCut(cut, 0, Blocks({94, 95})), "");
  EXPECT_EQ(WhyNoCut(cut, 0, Blocks({})), "");  // the last call may not have returned
  EXPECT_NE(WhyNoCut(cut, 0, Blocks({94})), "");
}

}  // namespace
}  // namespace morsel::crash
