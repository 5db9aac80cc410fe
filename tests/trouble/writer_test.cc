// One image and two who want to write it, each by a way of its own; and what a checkpoint answers
// where its file is not what it was.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "tests/trouble/media.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

namespace fs = std::filesystem;

class WriterTest : public TroubleTest {
 protected:
  void SetUp() override {
    TroubleTest::SetUp();
    Make(directory_, 0, {"a"}, "as it was");
    Make(second_, 0, {});
    pool_ = OpenPool(directory_);
    morsel_ = Open(pool_, "a");
  }

  /// Another process finds the image in a pool and tries to write it.
  void ExpectAnotherIsRefused(const std::string& path, const std::string& name, morsel_code code,
                              const std::vector<std::string>& words, uint32_t flags = 0) {
    InChild([&] {
      morsel_pool_t* const pool = OpenPool(path, flags);
      ExpectFailure(Try(pool, name), code, words);
      EXPECT_EQ(Try(pool, name, MORSEL_READ_ONLY), MORSEL_OK) << morsel_last_error();
    });
  }

  void SetText(const char* text) {
    std::snprintf(static_cast<char*>(morsel_root(morsel_, "text")), 10, "%s", text);
  }

  /// Closes everything, and expects what another process finds in the image.
  void ExpectText(const std::string& path, const std::string& name, const std::string& text) {
    EXPECT_EQ(morsel_discard(morsel_), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_pool_close(pool_), MORSEL_OK) << morsel_last_error();
    InChild([&] { EXPECT_EQ(TextOf(Open(OpenPool(path), name, MORSEL_READ_ONLY)), text); });
  }

  const std::string own_ = "process " + std::to_string(getpid());
  const std::string second_ = scratch_.At("second");
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
};

TEST_F(WriterTest, AnImageThatWasMovedHasOneWriter) {
  fs::rename(directory_ + "/a", second_ + "/a");
  ExpectAnotherIsRefused(second_, "a", MORSEL_BUSY, {"'a'", "'" + second_ + "'", own_, "close it"});
  SetText("lost");
  ExpectFailure(morsel_checkpoint(morsel_), MORSEL_NOT_FOUND, {"'" + directory_ + "/a'", "save"});
  ExpectText(second_, "a", "as it was");
}

TEST_F(WriterTest, AnImageWithASecondNameIsWrittenUnderNeither) {
  fs::create_hard_link(directory_ + "/a", second_ + "/b");
  ExpectAnotherIsRefused(second_, "b", MORSEL_BUSY, {"'b'", own_});
  SetText("lost");
  ExpectFailure(morsel_checkpoint(morsel_), MORSEL_UNSUPPORTED,
                {"'" + directory_ + "/a'", "2 names", "hard links", "copy"});
  // Without the second name it goes on.
  fs::remove(second_ + "/b");
  SetText("kept");
  EXPECT_EQ(morsel_checkpoint(morsel_), MORSEL_OK) << morsel_last_error();
  ExpectText(directory_, "a", "kept");
}

TEST_F(WriterTest, WhoFindsASecondNameWhenHeOpensIsToldAtTheCheckpoint) {
  EXPECT_EQ(morsel_close(morsel_), MORSEL_OK);
  fs::create_hard_link(directory_ + "/a", second_ + "/b");
  morsel_ = Open(pool_, "a");
  EXPECT_EQ(TextOf(morsel_), "as it was");
  SetText("lost");
  for (const auto call : {morsel_checkpoint, morsel_close}) {
    ExpectFailure(call(morsel_), MORSEL_UNSUPPORTED, {"'" + directory_ + "/a'", "2 names", "copy"});
  }
  ExpectText(second_, "b", "as it was");
}

TEST_F(WriterTest, APoolsFileThatIsRemovedLeavesEachImageItsWriter) {
  fs::remove(directory_ + "/.morsel-pool");
  ExpectAnotherIsRefused(directory_, "a", MORSEL_BUSY, {"'a'", own_, "close it"}, MORSEL_CREATE);
  SetText("kept");
  EXPECT_EQ(morsel_checkpoint(morsel_), MORSEL_OK) << morsel_last_error();
  ExpectText(directory_, "a", "kept");
}

TEST_F(WriterTest, AMorselThatWasJustMadeHasItsWriter) {
  morsel_t* const made = Open(pool_, "new", MORSEL_CREATE);
  fs::remove(directory_ + "/.morsel-pool");
  ExpectAnotherIsRefused(directory_, "new", MORSEL_BUSY, {"'new'", own_}, MORSEL_CREATE);
  EXPECT_EQ(morsel_close(made), MORSEL_OK) << morsel_last_error();
}

// Any reader of a file can take such locks on it.
TEST_F(WriterTest, WhoMayOnlyReadKeepsNoWriterOut) {
  EXPECT_EQ(morsel_close(morsel_), MORSEL_OK);
  const int reader = open((directory_ + "/a").c_str(), O_RDONLY | O_CLOEXEC);
  struct flock all {};
  all.l_type = F_RDLCK;
  ASSERT_EQ(fcntl(reader, F_OFD_SETLK, &all), 0);
  morsel_ = Open(pool_, "a");
  SetText("kept");
  EXPECT_EQ(morsel_checkpoint(morsel_), MORSEL_OK) << morsel_last_error();
  close(reader);
  ExpectText(directory_, "a", "kept");
}

// A daemon opens its pool, and gives up the right to look into the directory.
TEST_F(WriterTest, WhatACheckpointAnswersAfterRightsWereGivenUpIsSo) {
  ASSERT_EQ(morsel_discard(morsel_), MORSEL_OK);
  ASSERT_EQ(morsel_pool_close(pool_), MORSEL_OK);
  InChild([this] {
    pool_ = OpenPool(directory_);
    morsel_ = Open(pool_, "a");
    ASSERT_EQ(chmod(directory_.c_str(), 0), 0);
    GiveUpRights();
    ASSERT_NE(access((directory_ + "/a").c_str(), F_OK), 0);
    SetText("kept");
    EXPECT_EQ(morsel_checkpoint(morsel_), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_discard(morsel_), MORSEL_OK);
  });
  ASSERT_EQ(chmod(directory_.c_str(), 0700), 0);
  pool_ = OpenPool(directory_);
  morsel_ = Open(pool_, "a");
  ExpectText(directory_, "a", "kept");
}

unsigned ModeOf(const std::string& path) {
  struct stat status;
  EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

TEST_F(WriterTest, CopiesHaveTheBitsOfTheirOriginalThatTheUmaskLeaves) {
  ASSERT_EQ(morsel_close(morsel_), MORSEL_OK);
  ASSERT_EQ(chmod((directory_ + "/a").c_str(), 06775), 0);
  morsel_pool_t* const other = OpenPool(second_);
  int copies = 0;
  for (const auto& [mask, mode] : {std::pair{022u, 0755u}, {077u, 0700u}, {0u, 0775u}}) {
    const mode_t before = umask(mask);
    const std::string plain = folder_ + "/copy" + std::to_string(copies++);
    const std::string coded = folder_ + "/copy" + std::to_string(copies++);
    EXPECT_EQ(morsel_export(pool_, "a", plain.c_str()), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_export_coded(pool_, "a", coded.c_str(), MORSEL_CODEC_ZSTD), MORSEL_OK);
    EXPECT_EQ(ModeOf(plain), mode);
    EXPECT_EQ(ModeOf(coded), mode);
    ASSERT_EQ(chmod(plain.c_str(), 06775), 0);
    EXPECT_EQ(morsel_import(other, plain.c_str(), "c"), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(ModeOf(second_ + "/c"), mode);
    EXPECT_EQ(morsel_remove(other, "c"), MORSEL_OK) << morsel_last_error();
    umask(before);
  }
  EXPECT_EQ(morsel_pool_close(other), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool_), MORSEL_OK);
}

}  // namespace
}  // namespace morsel::trouble
