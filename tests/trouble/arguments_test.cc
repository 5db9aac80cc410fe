// Calls with invalid arguments, and features that are not built yet.
#include <sys/stat.h>
#include <unistd.h>

#include "image/codecs/codecs.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

using ArgumentsTest = TroubleTest;

TEST_F(ArgumentsTest, OpeningAPathThatIsNoPoolFails) {
  ExpectFailure(TryPool("/dev/null"), MORSEL_INVALID_ARGUMENT,
                {"'/dev/null'", "character device", "a directory"});
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const uint32_t flags : {0u, unsigned{MORSEL_READ_ONLY}, unsigned{MORSEL_CREATE}}) {
    ExpectFailure(TryPool(pipe, flags), MORSEL_INVALID_ARGUMENT, {"'" + pipe + "'", "a pipe"});
  }
  ExpectFailure(TryPool(""), MORSEL_INVALID_ARGUMENT, {"path"});
  ExpectFailure(TryPool(folder_ + "/nothing"), MORSEL_NOT_FOUND, {"'" + folder_ + "/nothing'"});
  ExpectFailure(TryPool(folder_ + "/no/where", MORSEL_CREATE), MORSEL_NOT_FOUND,
                {"'" + folder_ + "/no/where'"});
  ExpectFailure(TryPool(folder_), MORSEL_NOT_FOUND, {"'" + folder_ + "'", "not a pool"});
  ASSERT_EQ(symlink("/nowhere/at/all", (folder_ + "/link").c_str()), 0);
  ExpectFailure(TryPool(folder_ + "/link"), MORSEL_NOT_FOUND, {"'" + folder_ + "/link'"});
}

TEST_F(ArgumentsTest, NullArgumentsFail) {
  morsel_t* morsel = nullptr;
  morsel_pool_t* pool = nullptr;
  ExpectFailure(morsel_pool_open(nullptr, nullptr, &pool), MORSEL_INVALID_ARGUMENT, {"path"});
  ExpectFailure(morsel_pool_open("/", nullptr, nullptr), MORSEL_INVALID_ARGUMENT, {"NULL"});
  ExpectFailure(morsel_pool_close(nullptr), MORSEL_INVALID_ARGUMENT, {"NULL"});
  ExpectFailure(morsel_open(nullptr, "a", nullptr, &morsel), MORSEL_INVALID_ARGUMENT, {"NULL"});
  ExpectFailure(morsel_close(nullptr), MORSEL_INVALID_ARGUMENT, {"NULL"});
  ExpectFailure(morsel_checkpoint(nullptr), MORSEL_INVALID_ARGUMENT, {"NULL"});
  pool = MakeDirectoryPool();
  ExpectFailure(morsel_open(pool, nullptr, nullptr, &morsel), MORSEL_INVALID_ARGUMENT, {"name"});
  ExpectFailure(morsel_remove(pool, nullptr), MORSEL_INVALID_ARGUMENT, {"name"});
  ExpectFailure(morsel_rename(pool, nullptr, "b"), MORSEL_INVALID_ARGUMENT, {"name"});
  ExpectFailure(morsel_rename(pool, "a", nullptr), MORSEL_INVALID_ARGUMENT, {"name"});
  ExpectFailure(morsel_rename(nullptr, "a", "b"), MORSEL_INVALID_ARGUMENT, {"NULL"});
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

class NamesTest : public TroubleTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Kinds, NamesTest, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Carved" : "Directory"; });

TEST_P(NamesTest, InvalidNamesFail) {
  morsel_pool_t* const pool = GetParam() ? MakeCarvedPool() : MakeDirectoryPool();
  const Bytes before = AllBytes(folder_);
  const uint32_t create = MORSEL_CREATE | (GetParam() ? kFine : 0);
  struct Bad {
    std::string name;
    const char* why;
  };
  for (const Bad& bad :
       {Bad{"a/b", "'/'"}, Bad{"/", "'/'"}, Bad{"", "empty"},
        Bad{std::string(201, 'x'), "200 bytes"}, Bad{".", "directories"}, Bad{"..", "directories"},
        Bad{".morsel-pool", "\".morsel\""}, Bad{".morsel", "\".morsel\""},
        Bad{"tab\there", "control"}, Bad{"\x1b[31mred", "control"}, Bad{"del\x7f", "control"},
        Bad{"\u009b31mred", "control"}, Bad{"next\u0085", "control"}}) {
    for (const uint32_t flags : {0u, create}) {
      ExpectFailure(Try(pool, bad.name, flags), MORSEL_INVALID_ARGUMENT,
                    {"cannot name a morsel", bad.why, "another name"});
    }
    ExpectFailure(morsel_remove(pool, bad.name.c_str()), MORSEL_INVALID_ARGUMENT, {bad.why});
  }
  ExpectFailure(Try(pool, "none"), MORSEL_NOT_FOUND, {"no morsel 'none'", "with MORSEL_CREATE"});
  ExpectFailure(Try(pool, "none", MORSEL_READ_ONLY), MORSEL_NOT_FOUND, {"check the name"});
  EXPECT_EQ(std::string(morsel_last_error()).find("MORSEL_CREATE"), std::string::npos);
  EXPECT_TRUE(AllBytes(folder_) == before);
  for (const std::string& good :
       {std::string(200, 'x'), std::string("..."), std::string(".m"),
        std::string("größe und ärger"), std::string("no\u00a0break\u200d")}) {
    morsel_t* const morsel = Open(pool, good, create);
    ASSERT_NE(morsel, nullptr);
    morsel_info info{};
    EXPECT_EQ(morsel_stat(morsel, &info), MORSEL_OK);
    EXPECT_EQ(info.name, good);
    EXPECT_EQ(morsel_close(morsel), MORSEL_OK);
    EXPECT_EQ(morsel_remove(pool, good.c_str()), MORSEL_OK) << morsel_last_error();
  }
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_F(ArgumentsTest, InvalidAndUnsupportedFlagsFail) {
  ExpectFailure(TryPool(directory_, MORSEL_EXCLUSIVE), MORSEL_INVALID_ARGUMENT,
                {"MORSEL_EXCLUSIVE", "MORSEL_CREATE"});
  ExpectFailure(TryPool(directory_, MORSEL_CREATE | MORSEL_READ_ONLY), MORSEL_INVALID_ARGUMENT,
                {"MORSEL_READ_ONLY", "MORSEL_CREATE"});
  ExpectFailure(TryPool(directory_, MORSEL_CREATE | MORSEL_FINE), MORSEL_INVALID_ARGUMENT,
                {"0x10"});
  ExpectFailure(TryPool(directory_, 1u << 31), MORSEL_INVALID_ARGUMENT, {"0x80000000"});
  EXPECT_TRUE(AllBytes(folder_).empty());
  morsel_pool_t* const pool = MakeDirectoryPool();
  const Bytes before = AllBytes(folder_);
  ExpectFailure(Try(pool, "a", MORSEL_CREATE | MORSEL_LAZY), MORSEL_UNSUPPORTED,
                {"MORSEL_LAZY", "not built yet for writing", "leave it out"});
  // As it is on a file system that is not DAX.
  setenv("PMEM2_FORCE_GRANULARITY", "PAGE", 1);
  ExpectFailure(Try(pool, "a", MORSEL_CREATE | MORSEL_FINE), MORSEL_UNSUPPORTED,
                {"'" + directory_ + "'", "fine", "not DAX", "MAP_SYNC"});
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  ExpectFailure(Try(pool, "a", MORSEL_CREATE | MORSEL_GIANT), MORSEL_UNSUPPORTED,
                {"'" + directory_ + "'", "giant", "carved pool"});
  ExpectFailure(Try(pool, "a", MORSEL_CREATE | MORSEL_CARVED), MORSEL_INVALID_ARGUMENT, {"0x8"});
  morsel_t* morsel = nullptr;
  morsel_options options{};
  options.flags = MORSEL_CREATE;
  for (const uint32_t codec : {static_cast<uint32_t>(image::kCodecCount), 0x10000u}) {
    options.codec = codec;
    ExpectFailure(morsel_open(pool, "a", &options, &morsel), MORSEL_INVALID_ARGUMENT,
                  {"codec " + std::to_string(codec), "MORSEL_CODEC"});
  }
  EXPECT_TRUE(AllBytes(folder_) == before);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  morsel_pool_t* const carved = MakeCarvedPool();
  options.flags = MORSEL_CREATE | kFine;
  options.codec = MORSEL_CODEC_LZ4;
  ExpectFailure(morsel_open(carved, "a", &options, &morsel), MORSEL_UNSUPPORTED,
                {"compressed", "fine", "leave the codec out"});
  ExpectFailure(Try(carved, "a", MORSEL_CREATE), MORSEL_UNSUPPORTED,
                {"'" + carved_ + "'", "MORSEL_FINE", "directory pool"});
  EXPECT_EQ(morsel_pool_close(carved), MORSEL_OK);
}

TEST_F(ArgumentsTest, InvalidSizesFail) {
  morsel_pool_t* const pool = MakeDirectoryPool();
  const Bytes before = AllBytes(folder_);
  morsel_t* morsel = nullptr;
  morsel_options options{};
  options.flags = MORSEL_CREATE;
  options.capacity_bytes = uint64_t{100} << 40;
  ExpectFailure(morsel_open(pool, "a", &options, &morsel), MORSEL_ADDRESS_EXHAUSTED,
                {"'a'", "window", "ask for less"});
  options.capacity_bytes = ~uint64_t{0};
  ExpectFailure(morsel_open(pool, "a", &options, &morsel), MORSEL_ADDRESS_EXHAUSTED,
                {"'a'", "ask for less"});
  options.capacity_bytes = 2 << 20;
  options.size_bytes = 4 << 20;
  ExpectFailure(morsel_open(pool, "a", &options, &morsel), MORSEL_INVALID_ARGUMENT,
                {"'a'", "4 MiB", "2 MiB", "capacity"});
  options = {};
  options.struct_size = 3;
  ExpectFailure(morsel_open(pool, "a", &options, &morsel), MORSEL_INVALID_ARGUMENT,
                {"3 bytes", "struct_size"});
  options = {};
  options.flags = MORSEL_CREATE;
  for (const uint32_t mode : {01777u, 02770u, 04700u, 010000u}) {
    char words[16];
    std::snprintf(words, sizeof words, "mode 0%o", mode);
    options.mode = mode;
    ExpectFailure(morsel_open(pool, "a", &options, &morsel), MORSEL_INVALID_ARGUMENT, {words});
    morsel_pool_options of_pool{};
    of_pool.flags = MORSEL_CREATE;
    of_pool.mode = mode;
    morsel_pool_t* other = nullptr;
    ExpectFailure(morsel_pool_open((directory_ + "2").c_str(), &of_pool, &other),
                  MORSEL_INVALID_ARGUMENT, {words});
  }
  EXPECT_TRUE(AllBytes(folder_) == before);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_F(ArgumentsTest, InvalidOptionsOfACarvedPoolFail) {
  morsel_pool_t* pool = nullptr;
  morsel_pool_options options{};
  options.flags = MORSEL_CREATE | MORSEL_CARVED;
  options.size_bytes = 1 << 20;
  ExpectFailure(morsel_pool_open(carved_.c_str(), &options, &pool), MORSEL_INVALID_ARGUMENT,
                {"'" + carved_ + "'", "4 MiB"});
  options.size_bytes = ~uint64_t{0};
  ExpectFailure(morsel_pool_open(carved_.c_str(), &options, &pool), MORSEL_INVALID_ARGUMENT,
                {"'" + carved_ + "'"});
  options.size_bytes = 8 << 20;
  ExpectFailure(morsel_pool_open(folder_.c_str(), &options, &pool), MORSEL_INVALID_ARGUMENT,
                {"'" + folder_ + "'", "is a directory"});
  options.flags = MORSEL_CREATE;
  ExpectFailure(morsel_pool_open(directory_.c_str(), &options, &pool), MORSEL_INVALID_ARGUMENT,
                {"8 MiB", "MORSEL_CARVED"});
  setenv("PMEM2_FORCE_GRANULARITY", "PAGE", 1);
  ExpectFailure(TryPool(carved_, MORSEL_CREATE | MORSEL_CARVED), MORSEL_UNSUPPORTED,
                {"'" + carved_ + "'", "persistent memory", "directory pool"});
  EXPECT_TRUE(AllBytes(folder_).empty());
}

TEST_F(ArgumentsTest, DefaultModesAreThoseOfTheHeader) {
  const auto make = [](const std::string& path, uint32_t flags, uint64_t size_bytes) {
    morsel_pool_options options{};
    options.flags = flags;
    options.size_bytes = size_bytes;
    morsel_pool_t* pool = nullptr;
    ASSERT_EQ(morsel_pool_open(path.c_str(), &options, &pool), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  };
  make(carved_, MORSEL_CREATE | MORSEL_CARVED, 8 << 20);
  make(directory_, MORSEL_CREATE, 0);
  struct stat status;
  ASSERT_EQ(stat(carved_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  ASSERT_EQ(stat(directory_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
}

}  // namespace
}  // namespace morsel::trouble
