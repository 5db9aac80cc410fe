// MORSEL_LAZY as a program meets it: what it may be asked for, and how a process ends whose memory
// has gone.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string>

#include "morsel/tools.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

constexpr uint32_t kLazily = MORSEL_READ_ONLY | MORSEL_LAZY;

class LazyTest : public TroubleTest {
 protected:
  void SetUp() override {
    testing::FLAGS_gtest_death_test_style = "fast";
    TroubleTest::SetUp();
    Make(directory_, 0, {"a"});
  }
  std::string FilePath() const { return directory_ + "/a"; }
};

TEST_F(LazyTest, AMorselIsReadAsIfItWereLoaded) {
  for (const uint32_t pool_flags : {0u, unsigned{MORSEL_READ_ONLY}}) {
    morsel_pool_t* const pool = OpenPool(directory_, pool_flags);
    morsel_t* const morsel = Open(pool, "a", kLazily);
    EXPECT_EQ(TextOf(morsel), "as it was");
    // Open as it is.
    morsel_t* const again = Open(pool, "a", MORSEL_READ_ONLY);
    EXPECT_EQ(again, morsel);
    EXPECT_EQ(morsel_close(again), MORSEL_OK);
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  }
}

TEST_F(LazyTest, WhoWouldWriteIsToldThatItIsNotBuilt) {
  morsel_pool_t* const pool = OpenPool(directory_);
  ExpectFailure(Try(pool, "a", MORSEL_LAZY), MORSEL_UNSUPPORTED,
                {"MORSEL_LAZY", "not built yet for writing", "MORSEL_READ_ONLY", "leave it out"});
  ExpectFailure(Try(pool, "b", kLazily), MORSEL_NOT_FOUND, {"'b'"});
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

// Of a fine morsel, and of one that is salvaged, it changes nothing.
TEST_F(LazyTest, WhereNothingIsLoadedOrAllIsLookedAtItIsNoError) {
  Make(carved_, MORSEL_CARVED, {"a"});
  morsel_pool_t* const carved = OpenPool(carved_, MORSEL_READ_ONLY);
  morsel_t* const fine = Open(carved, "a", kLazily);
  EXPECT_EQ(TextOf(fine), "as it was");
  EXPECT_EQ(morsel_close(fine), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(carved), MORSEL_OK);
  morsel_pool_t* const pool = OpenPool(directory_, MORSEL_READ_ONLY);
  morsel_t* const salvaged = Open(pool, "a", kLazily | MORSEL_SALVAGE);
  EXPECT_EQ(TextOf(salvaged), "as it was");
  EXPECT_EQ(morsel_close(salvaged), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_F(LazyTest, WhereTheFileWasCutTheProcessEndsWithASentence) {
  EXPECT_EXIT(
      {
        morsel_t* const morsel = Open(OpenPool(directory_, MORSEL_READ_ONLY), "a", kLazily);
        if (truncate(FilePath().c_str(), 4096) != 0) _exit(1);
        (void)static_cast<const volatile char*>(morsel_base(morsel))[1 << 20];
      },
      testing::KilledBySignal(SIGBUS),
      "^morsel: morsel 'a' of pool '" + directory_ +
          "': an access at 0x[0-9a-f]+ failed, offset 0x[0-9a-f]+ of '" + FilePath() +
          "': there is nothing behind it: a medium error, a device that is gone, or a file that "
          "was truncated");
}

TEST_F(LazyTest, AStoreIsExplained) {
  EXPECT_EXIT(
      {
        morsel_t* const morsel = Open(OpenPool(directory_, MORSEL_READ_ONLY), "a", kLazily);
        *static_cast<volatile char*>(morsel_root(morsel, "text")) = 'x';
      },
      testing::KilledBySignal(SIGSEGV), "and it is open for reading only");
}

// The image has what no page table of this process has.
TEST_F(LazyTest, AnExportHasWhatWasNeverTouched) {
  const std::string file = folder_ + "/exported";
  morsel_pool_t* pool = OpenPool(directory_, MORSEL_READ_ONLY);
  morsel_t* morsel = Open(pool, "a", kLazily);
  ASSERT_EQ(unlink(FilePath().c_str()), 0);
  morsel_export_options options = {};
  options.flags = MORSEL_RECODE;
  options.codec = MORSEL_CODEC_LZ4;
  ASSERT_EQ(morsel_export_with(pool, "a", file.c_str(), &options), MORSEL_OK)
      << morsel_last_error();
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  pool = OpenPool(directory_);
  ASSERT_EQ(morsel_import(pool, file.c_str(), "a"), MORSEL_OK) << morsel_last_error();
  morsel = Open(pool, "a", kLazily);
  EXPECT_EQ(TextOf(morsel), "as it was");
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

// Who may only read the file can say of all of it, for ever, that he has mapped it.
TEST_F(LazyTest, WhoSaysThatHeHasMappedAllIsInNobodysWay) {
  const int file = open(FilePath().c_str(), O_RDONLY | O_CLOEXEC);
  struct flock all = {};
  all.l_type = F_RDLCK;
  all.l_start = off_t{1} << 60;
  all.l_len = off_t{1} << 60;
  ASSERT_EQ(fcntl(file, F_OFD_SETLK, &all), 0);
  for (int round = 0; round < 3; ++round) {
    morsel_pool_t* const pool = OpenPool(directory_);
    morsel_t* const morsel = Open(pool, "a");
    std::strcpy(static_cast<char*>(morsel_root(morsel, "text")), "as it is");
    EXPECT_EQ(morsel_checkpoint(morsel), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
    morsel_t* const reader = Open(pool, "a", kLazily);
    EXPECT_EQ(TextOf(reader), "as it is");
    EXPECT_EQ(morsel_close(reader), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  }
  close(file);
}

}  // namespace
}  // namespace morsel::trouble
