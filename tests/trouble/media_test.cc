// Calls on a full disk, and in a directory that cannot be written.
#include "tests/trouble/media.h"

#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

class MediaTest : public TroubleTest {
 protected:
  // Bytes that no two pages of share, so that none of them can be left out.
  static char* Random(morsel_t* morsel, size_t size) {
    auto* const block = static_cast<char*>(morsel_malloc(morsel, size));
    EXPECT_NE(block, nullptr) << morsel_last_error();
    uint64_t state = 1;
    for (size_t i = 0; block != nullptr && i + 8 <= size; i += 8) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      std::memcpy(block + i, &state, 8);
    }
    return block;
  }
};

TEST_F(MediaTest, CreateOnAFullDiskLeavesNothing) {
  InChild([this] {
    SmallDisk disk(folder_);
    morsel_pool_t* const pool = MakeDirectoryPool();
    morsel_pool_t* const carved = MakeCarvedPool();
    disk.Fill();
    const Bytes before = AllBytes(folder_);
    ExpectFailure(TryPool(folder_ + "/more", MORSEL_CREATE), MORSEL_NO_SPACE,
                  {"'" + folder_ + "/more", disk.advice()});
    ExpectFailure(TryPool(folder_ + "/more", MORSEL_CREATE | MORSEL_CARVED), MORSEL_NO_SPACE,
                  {"'" + folder_ + "/more'", disk.advice()});
    ExpectFailure(Try(pool, "a", MORSEL_CREATE), MORSEL_NO_SPACE,
                  {"'" + directory_ + "/a'", disk.advice()});
    EXPECT_TRUE(AllBytes(folder_) == before);
    disk.Free();
    EXPECT_EQ(morsel_close(Open(pool, "a", MORSEL_CREATE)), MORSEL_OK);
    EXPECT_EQ(morsel_close(Open(carved, "a", MORSEL_CREATE | MORSEL_FINE)), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(carved), MORSEL_OK);
  });
}

TEST_F(MediaTest, ACheckpointOnAFullDiskKeepsTheLastOne) {
  InChild([this] {
    SmallDisk disk(folder_);
    Make(directory_, 0, {"a"});
    morsel_pool_t* const pool = OpenPool(directory_);
    morsel_t* morsel = Open(pool, "a");
    ASSERT_EQ(morsel_resize(morsel, 8 << 20), MORSEL_OK);
    ASSERT_EQ(morsel_set_root(morsel, "big", Random(morsel, 4 << 20)), MORSEL_OK);
    disk.Fill();
    ExpectFailure(morsel_checkpoint(morsel), MORSEL_NO_SPACE,
                  {"'" + directory_ + "/a'", disk.advice()});
    EXPECT_EQ(morsel_discard(morsel), MORSEL_OK) << morsel_last_error();
    morsel = Open(pool, "a", MORSEL_READ_ONLY);
    EXPECT_EQ(TextOf(morsel), "as it was");
    EXPECT_EQ(morsel_root(morsel, "big"), nullptr);
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
}

// Others fill the disk. What a morsel has is changed a page at a time all the same, over closes.
TEST_F(MediaTest, CommitsOfFewPagesGoOnOnAFullDisk) {
  InChild([this] {
    SmallDisk disk(folder_);
    if (!disk.is_tmpfs()) return;  // a limit refuses what would be written over, too
    Make(directory_, 0, {"a"});
    morsel_pool_t* const pool = OpenPool(directory_);
    morsel_t* morsel = Open(pool, "a");
    constexpr size_t kBytes = 5 << 20;
    ASSERT_EQ(morsel_resize(morsel, 8 << 20), MORSEL_OK);
    ASSERT_EQ(morsel_set_root(morsel, "big", Random(morsel, kBytes)), MORSEL_OK);
    const auto change = [&](size_t turn) {
      auto* const block = static_cast<char*>(morsel_root(morsel, "big"));
      ASSERT_NE(block, nullptr) << morsel_last_error();
      const size_t at = turn * 4096 * 7919 % kBytes + turn % 4096;
      block[at] = static_cast<char>(block[at] + 1);
      ASSERT_EQ(morsel_checkpoint(morsel), MORSEL_OK) << turn << ": " << morsel_last_error();
    };
    for (size_t turn = 0; turn < 10; ++turn) ASSERT_NO_FATAL_FAILURE(change(turn));
    disk.Fill();
    for (size_t turn = 10; turn < 1010; ++turn) ASSERT_NO_FATAL_FAILURE(change(turn));
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
    morsel = Open(pool, "a");
    for (size_t turn = 1010; turn < 1110; ++turn) ASSERT_NO_FATAL_FAILURE(change(turn));
    const std::string expected(static_cast<char*>(morsel_root(morsel, "big")), kBytes);
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
    morsel = Open(pool, "a", MORSEL_READ_ONLY);
    EXPECT_TRUE(expected == std::string(static_cast<char*>(morsel_root(morsel, "big")), kBytes));
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
}

// A process that does not expect SIGXFSZ is ended by it.
TEST_F(MediaTest, ALimitOnTheSizeOfFilesIsAFullDiskAndNoSignal) {
  InChild([this] {
    Make(directory_, 0, {"a"});
    morsel_pool_t* const pool = OpenPool(directory_);
    morsel_t* const morsel = Open(pool, "a");
    ASSERT_EQ(morsel_resize(morsel, 8 << 20), MORSEL_OK);
    ASSERT_EQ(morsel_set_root(morsel, "big", Random(morsel, 4 << 20)), MORSEL_OK);
    ASSERT_EQ(signal(SIGXFSZ, SIG_DFL), SIG_DFL);
    const rlimit low = {3 << 20, RLIM_INFINITY};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
    ExpectFailure(morsel_checkpoint(morsel), MORSEL_NO_SPACE,
                  {"'" + directory_ + "/a'", "ulimit -f"});
    ExpectFailure(TryPool(folder_ + "/more", MORSEL_CREATE | MORSEL_CARVED), MORSEL_NO_SPACE,
                  {"'" + folder_ + "/more'", "ulimit -f"});
    ExpectFailure(morsel_export_coded(pool, "a", (folder_ + "/b").c_str(), MORSEL_CODEC_ZSTD),
                  MORSEL_NO_SPACE, {"ulimit -f"});
    const rlimit high = {RLIM_INFINITY, RLIM_INFINITY};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &high), 0);
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
}

TEST_F(MediaTest, AnExportByAnotherCodecOnAFullDiskLeavesNothing) {
  InChild([this] {
    SmallDisk disk(folder_);
    Make(directory_, 0, {"a"});
    morsel_pool_t* const pool = OpenPool(directory_);
    const std::string file = folder_ + "/a.image";
    disk.Fill();
    const Bytes before = AllBytes(folder_);
    ExpectFailure(morsel_export_coded(pool, "a", file.c_str(), MORSEL_CODEC_ZSTD), MORSEL_NO_SPACE,
                  {"'" + folder_, disk.advice()});
    EXPECT_TRUE(AllBytes(folder_) == before);
    disk.Free();
    EXPECT_EQ(morsel_export_coded(pool, "a", file.c_str(), MORSEL_CODEC_ZSTD), MORSEL_OK)
        << morsel_last_error();
    EXPECT_EQ(morsel_verify(file.c_str(), nullptr, nullptr), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
}

TEST_F(MediaTest, AFailedCloseLeavesTheMorselOpen) {
  InChild([this] {
    SmallDisk disk(folder_);
    Make(directory_, 0, {"a"});
    morsel_pool_t* const pool = OpenPool(directory_);
    morsel_t* morsel = Open(pool, "a");
    ASSERT_EQ(morsel_resize(morsel, 8 << 20), MORSEL_OK);
    ASSERT_EQ(morsel_set_root(morsel, "big", Random(morsel, 4 << 20)), MORSEL_OK);
    disk.Fill();
    ExpectFailure(morsel_close(morsel), MORSEL_NO_SPACE, {"'" + directory_ + "/a'", disk.advice()});
    ExpectFailure(morsel_pool_close(pool), MORSEL_BUSY, {"'a'", "is open"});
    EXPECT_EQ(TextOf(morsel), "as it was");
    EXPECT_EQ(morsel_of(morsel_base(morsel)), morsel);
    disk.Free();
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
    morsel = Open(pool, "a");
    EXPECT_NE(morsel_root(morsel, "big"), nullptr);
    EXPECT_EQ(morsel_discard(morsel), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
}

TEST_F(MediaTest, AFullCarvedPoolRefusesAndChangesNothing) {
  morsel_pool_t* const pool = MakeCarvedPool();
  const Bytes before = AllBytes(folder_);
  morsel_options options{};
  options.flags = MORSEL_CREATE | MORSEL_FINE;
  options.size_bytes = 32 << 20;
  morsel_t* morsel = nullptr;
  ExpectFailure(morsel_open(pool, "a", &options, &morsel), MORSEL_NO_SPACE,
                {"'" + carved_ + "'", "larger pool"});
  EXPECT_TRUE(AllBytes(folder_) == before);
  morsel = Open(pool, "a", MORSEL_CREATE | MORSEL_FINE);
  ExpectFailure(morsel_resize(morsel, 32 << 20), MORSEL_NO_SPACE,
                {"'" + carved_ + "'", "larger pool"});
  EXPECT_EQ(morsel_size(morsel), uint64_t{2} << 20);
  EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

class ReadOnlyTest : public MediaTest, public testing::WithParamInterface<bool> {
 protected:
  void MakeReadOnly() const { GetParam() ? MountReadOnly(folder_) : MakeUnwritable(folder_); }
};
INSTANTIATE_TEST_SUITE_P(By, ReadOnlyTest, testing::Bool(),
                         [](const auto& by) { return by.param ? "Mount" : "Permissions"; });

TEST_P(ReadOnlyTest, ReadsSucceedAndWritesFail) {
  Make(directory_, 0, {"a"});
  Make(carved_, MORSEL_CARVED, {"a"});
  const Bytes before = AllBytes(folder_);
  InChild([this] {
    MakeReadOnly();
    ExpectFailure(TryPool(folder_ + "/new", MORSEL_CREATE), MORSEL_PERMISSION,
                  {"'" + folder_ + "/new'"});
    ExpectFailure(TryPool(folder_ + "/new", MORSEL_CREATE | MORSEL_CARVED), MORSEL_PERMISSION,
                  {"'" + folder_ + "/new'"});
    for (const std::string& path : {directory_, carved_}) {
      ExpectFailure(TryPool(path), MORSEL_PERMISSION, {"'" + path});
      morsel_pool_t* const pool = OpenPool(path, MORSEL_READ_ONLY);
      morsel_t* const morsel = Open(pool, "a", MORSEL_READ_ONLY);
      EXPECT_EQ(TextOf(morsel), "as it was");
      EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
      EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
    }
  });
  EXPECT_TRUE(AllBytes(folder_) == before);
}

}  // namespace
}  // namespace morsel::trouble
