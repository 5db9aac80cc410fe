// Somebody copies a file over the file of an open morsel, or cuts it: a backup that is restored
// into a pool that is in use.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>

#include "morsel/tools.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMiB = 1 << 20;

struct Way {
  const char* name;
  std::function<void(const std::string& file, const std::string& backup)> overwrite;
};

void CopyOver(const std::string& file, const std::string& backup) {
  fs::copy_file(backup, file, fs::copy_options::overwrite_existing);
}

class OverwrittenTest : public TroubleTest, public testing::WithParamInterface<Way> {
 protected:
  // The backup is older than the newest checkpoint, and shorter.
  void SetUp() override {
    TroubleTest::SetUp();
    Make(directory_, 0, {"a"});
    fs::copy_file(file_, backup_);
    pool_ = OpenPool(directory_);
    morsel_ = Open(pool_, "a");
    ASSERT_EQ(morsel_resize(morsel_, 8 * kMiB), MORSEL_OK) << morsel_last_error();
    Say("newer", 3 * kMiB);
    ASSERT_EQ(morsel_checkpoint(morsel_), MORSEL_OK) << morsel_last_error();
  }

  void Say(const char* text, uint64_t size_bytes) {
    auto* const block = static_cast<char*>(morsel_malloc(morsel_, size_bytes));
    ASSERT_NE(block, nullptr);
    for (uint64_t i = 0; i < size_bytes; ++i) block[i] = static_cast<char>(i * i >> 7);
    std::strcpy(block, text);
    ASSERT_EQ(morsel_set_root(morsel_, "text", block), MORSEL_OK);
  }

  std::string TextOfImage() {
    const std::string other = scratch_.At("other");
    morsel_pool_t* const pool = OpenPool(other, MORSEL_CREATE);
    EXPECT_EQ(morsel_import(pool, image_.c_str(), "a"), MORSEL_OK) << morsel_last_error();
    morsel_t* const morsel = Open(pool, "a", MORSEL_READ_ONLY);
    const std::string text = TextOf(morsel);
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
    return text;
  }

  const std::string file_ = directory_ + "/a";
  const std::string backup_ = scratch_.At("backup");
  const std::string image_ = scratch_.At("image");
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(
    Ways, OverwrittenTest,
    testing::Values(Way{"Copied", CopyOver},
                    Way{"Emptied", [](auto& file, auto&) { fs::resize_file(file, 0); }},
                    Way{"Cut", [](auto& file,
                                  auto&) { fs::resize_file(file, fs::file_size(file) - 4096); }},
                    Way{"CutAndFilled",
                        [](auto& file, auto&) {
                          const auto size_bytes = fs::file_size(file);
                          fs::resize_file(file, 0);
                          fs::resize_file(file, size_bytes);
                        }},
                    Way{"Superblocks",
                        [](auto& file, auto& backup) {
                          std::string both = AllBytes(backup)[backup].substr(0, 8192);
                          Overwrite(file, 0, both);
                        }}),
    [](const auto& way) { return way.param.name; });

TEST_P(OverwrittenTest, NothingIsWrittenToItAndTheMemoryCanBeSaved) {
  GetParam().overwrite(file_, backup_);
  const Bytes before = AllBytes(directory_);
  Say("newest", kMiB);
  ExpectFailure(morsel_checkpoint(morsel_), MORSEL_CORRUPT,
                {"'" + file_ + "'", "written over or cut by somebody else", "morsel_export"});
  ExpectFailure(morsel_close(morsel_), MORSEL_CORRUPT, {"written over or cut by somebody else"});
  EXPECT_EQ(AllBytes(directory_), before);
  EXPECT_EQ(morsel_export(pool_, "a", image_.c_str()), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(AllBytes(directory_), before);
  EXPECT_EQ(morsel_discard(morsel_), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool_), MORSEL_OK);
  EXPECT_EQ(TextOfImage(), "newest");
}

TEST_P(OverwrittenTest, WhoHasItOpenForReadingCanSaveWhatHeHas) {
  ASSERT_EQ(morsel_close(morsel_), MORSEL_OK);
  morsel_t* const reader = Open(pool_, "a", MORSEL_READ_ONLY);
  GetParam().overwrite(file_, backup_);
  EXPECT_EQ(morsel_export(pool_, "a", image_.c_str()), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_close(reader), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool_), MORSEL_OK);
  EXPECT_EQ(TextOfImage(), "newer");
}

// A copy that was made since the log was has the same superblocks. It lacks the last records, and
// one behind them would follow none.
TEST_F(TroubleTest, ACopyThatLacksRecordsOfTheLogIsNotWrittenTo) {
  setenv("MORSEL_LOG", "always", 1);
  Make(directory_, 0, {"a"});
  const std::string file = directory_ + "/a";
  const std::string backup = scratch_.At("backup");
  morsel_pool_t* const pool = OpenPool(directory_);
  morsel_t* const morsel = Open(pool, "a");
  auto* const number = static_cast<uint64_t*>(morsel_calloc(morsel, 1, 8));
  ASSERT_EQ(morsel_set_root(morsel, "number", number), MORSEL_OK);
  for (*number = 1; *number < 6; ++*number) {
    ASSERT_EQ(morsel_checkpoint(morsel), MORSEL_OK) << morsel_last_error();
    if (*number == 4) fs::copy_file(file, backup);
  }
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  CopyOver(file, backup);
  // The kernel's clock for changes may be a tick behind.
  for (struct stat status{}; status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec <=
                             now.tv_sec * 1'000'000'000 + now.tv_nsec;) {
    ASSERT_EQ(chmod(file.c_str(), 0600), 0);
    ASSERT_EQ(stat(file.c_str(), &status), 0);
  }
  const Bytes before = AllBytes(directory_);
  ExpectFailure(morsel_checkpoint(morsel), MORSEL_CORRUPT,
                {"written over or cut by somebody else"});
  EXPECT_EQ(AllBytes(directory_), before);
  const std::string image = scratch_.At("image");
  EXPECT_EQ(morsel_export(pool, "a", image.c_str()), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_discard(morsel), MORSEL_OK);
  // The copy is what it was.
  morsel_t* const restored = Open(pool, "a", MORSEL_READ_ONLY);
  EXPECT_EQ(*static_cast<uint64_t*>(morsel_root(restored, "number")), 4u);
  EXPECT_EQ(morsel_close(restored), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  unsetenv("MORSEL_LOG");
}

// The checkpoint has a reason, and goes on when it is gone.
TEST_F(TroubleTest, WhatIsRestoredAsItWasCanBeWrittenOn) {
  Make(directory_, 0, {"a"});
  morsel_pool_t* const pool = OpenPool(directory_);
  morsel_t* const morsel = Open(pool, "a");
  const std::string bytes = AllBytes(directory_ + "/a")[directory_ + "/a"];
  fs::resize_file(directory_ + "/a", 0);
  ExpectFailure(morsel_checkpoint(morsel), MORSEL_CORRUPT, {"written over or cut"});
  WriteFile(directory_ + "/a", bytes);
  EXPECT_EQ(morsel_checkpoint(morsel), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_verify((directory_ + "/a").c_str(), nullptr, nullptr), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

// A carved pool's file is removed while it is open: what is stored goes nowhere.
TEST_F(TroubleTest, ACarvedPoolWhoseFileIsGoneSaysSo) {
  Make(carved_, MORSEL_CARVED, {"a"});
  morsel_pool_t* const pool = OpenPool(carved_);
  morsel_t* const morsel = Open(pool, "a");
  fs::remove(carved_);
  const std::vector<std::string> words = {"'" + carved_ + "'", "was removed", "morsel_export"};
  ExpectFailure(Try(pool, "b", MORSEL_CREATE | kFine), MORSEL_NOT_FOUND, words);
  ExpectFailure(morsel_checkpoint(morsel), MORSEL_NOT_FOUND, words);
  ExpectFailure(morsel_resize(morsel, 4 * kMiB), MORSEL_NOT_FOUND, words);
  ExpectFailure(morsel_close(morsel), MORSEL_NOT_FOUND, words);
  const std::string image = scratch_.At("image");
  EXPECT_EQ(morsel_export(pool, "a", image.c_str()), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(morsel_verify(image.c_str(), nullptr, nullptr), MORSEL_OK);
  EXPECT_EQ(morsel_discard(morsel), MORSEL_OK);
  ExpectFailure(morsel_pool_close(pool), MORSEL_NOT_FOUND, words);
}

// A pool's directory is removed while it is open. Once the call made it anew without end.
TEST_F(TroubleTest, APoolWhoseDirectoryIsGoneSaysSo) {
  Make(directory_, 0, {"a"});
  morsel_pool_t* const pool = OpenPool(directory_);
  fs::remove_all(directory_);
  EXPECT_EQ(Try(pool, "b", MORSEL_CREATE), MORSEL_NOT_FOUND) << morsel_last_error();
  EXPECT_EQ(Try(pool, "a"), MORSEL_NOT_FOUND);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

}  // namespace
}  // namespace morsel::trouble
