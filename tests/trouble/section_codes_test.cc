// The codes that calls of sections are documented to answer (updates.h).
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <thread>

#include "morsel/updates.h"
#include "tests/trouble/documented_codes.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

namespace fs = std::filesystem;

class SectionCodesTest : public TroubleTest {
 protected:
  void SetUp() override {
    TroubleTest::SetUp();
    Make(directory_, 0, {"a"});
    pool_ = OpenPool(directory_);
  }
  void TearDown() override {
    EXPECT_EQ(morsel_pool_close(pool_), MORSEL_OK);
    TroubleTest::TearDown();
  }
  static void Expect(const char* call, morsel_code expected, morsel_code code) {
    EXPECT_EQ(code, expected) << call << ": " << morsel_last_error();
    NoteReached(call, code);
  }
  static void ExpectEach(morsel_t* morsel, morsel_code expected) {
    Expect("morsel_begin", expected, morsel_begin(morsel));
    Expect("morsel_end", expected, morsel_end(morsel));
    Expect("morsel_commit", expected, morsel_commit(morsel));
  }
  // Commits something, and expects this code.
  static void ExpectOfCommit(morsel_t* morsel, morsel_code expected) {
    ASSERT_EQ(morsel_begin(morsel), MORSEL_OK) << morsel_last_error();
    ++*static_cast<char*>(morsel_root(morsel, "text"));
    Expect("morsel_commit", expected, morsel_commit(morsel));
  }

  morsel_pool_t* pool_ = nullptr;
};

TEST_F(SectionCodesTest, WhoMayNotWriteBeginsNone) {
  morsel_t* const reader = Open(pool_, "a", MORSEL_READ_ONLY);
  ExpectEach(reader, MORSEL_PERMISSION);
  EXPECT_EQ(morsel_close(reader), MORSEL_OK);
}

TEST_F(SectionCodesTest, AFineMorselHasNone) {
  morsel_pool_t* const carved = MakeCarvedPool();
  morsel_t* const fine = Open(carved, "f", MORSEL_CREATE | kFine);
  ExpectEach(fine, MORSEL_UNSUPPORTED);
  EXPECT_EQ(morsel_close(fine), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(carved), MORSEL_OK);
}

TEST_F(SectionCodesTest, AForkedChildHasNone) {
  morsel_t* const morsel = Open(pool_, "a");
  InChild([&] { ExpectEach(morsel, MORSEL_BUSY); });
  for (const char* const call : {"morsel_begin", "morsel_end", "morsel_commit"}) {
    NoteReached(call, MORSEL_BUSY);
  }
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
}

TEST_F(SectionCodesTest, WhoIsInNoneEndsNone) {
  morsel_t* const morsel = Open(pool_, "a");
  Expect("morsel_end", MORSEL_INVALID_ARGUMENT, morsel_end(morsel));
  Expect("morsel_commit", MORSEL_INVALID_ARGUMENT, morsel_commit(morsel));
  EXPECT_EQ(morsel_begin(morsel), MORSEL_OK);
  Expect("morsel_checkpoint", MORSEL_INVALID_ARGUMENT, morsel_checkpoint(morsel));
  Expect("morsel_close", MORSEL_INVALID_ARGUMENT, morsel_close(morsel));
  EXPECT_EQ(morsel_end(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
}

TEST_F(SectionCodesTest, WhoeverStoresWaitsForOthersSoLongOnly) {
  morsel_options options = {};
  options.struct_size = sizeof options;
  options.patience_ms = 1;
  morsel_t* morsel = nullptr;
  ASSERT_EQ(morsel_open(pool_, "a", &options, &morsel), MORSEL_OK) << morsel_last_error();
  std::promise<void> has_begun;
  std::promise<void> may_end;
  std::thread other([&] {
    EXPECT_EQ(morsel_begin(morsel), MORSEL_OK);
    has_begun.set_value();
    may_end.get_future().wait();
    EXPECT_EQ(morsel_end(morsel), MORSEL_OK);
  });
  has_begun.get_future().wait();
  ExpectOfCommit(morsel, MORSEL_BUSY);
  Expect("morsel_checkpoint", MORSEL_BUSY, morsel_checkpoint(morsel));
  Expect("morsel_close", MORSEL_BUSY, morsel_close(morsel));
  may_end.set_value();
  other.join();
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
}

TEST_F(SectionCodesTest, AFileThatSomebodyElseRenamedOrLinkedIsNotWritten) {
  morsel_t* const morsel = Open(pool_, "a");
  const std::string path = directory_ + "/a";
  fs::create_hard_link(path, path + "2");
  ExpectOfCommit(morsel, MORSEL_UNSUPPORTED);
  Expect("morsel_checkpoint", MORSEL_UNSUPPORTED, morsel_checkpoint(morsel));
  Expect("morsel_close", MORSEL_UNSUPPORTED, morsel_close(morsel));
  fs::remove(path);
  ExpectOfCommit(morsel, MORSEL_NOT_FOUND);
  fs::rename(path + "2", path);
  ExpectOfCommit(morsel, MORSEL_OK);
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
}

}  // namespace
}  // namespace morsel::trouble
