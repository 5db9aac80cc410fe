// tools.h: what it tells of pools, morsels and images, and how it fails.
#include "morsel/tools.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"

namespace {

namespace fs = std::filesystem;
using morsel::Code;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr char kSentinel = '\x5a';

bool Says(const std::string& words) {
  return std::string(morsel_last_error()).find(words) != std::string::npos;
}

void FlipBit(const std::string& path, uint64_t offset) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(offset));
  const char flipped = static_cast<char>(file.get() ^ 4);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(flipped);
}

// Whichever is the newer one: the second is at 1 MiB in an image, and at 4096 in a fine morsel's
// file.
void DamageSuperblocks(const std::string& path) {
  for (const uint64_t superblock : {uint64_t{0}, uint64_t{4096}, kMiB}) {
    FlipBit(path, superblock + 100);
  }
}

// What Make() has stored, where it counts.
void DamageObject(const std::string& path) {
  FlipBit(path, morsel::os::BytesOf(path).rfind("xxxxxxxx"));
}

class ToolsTest : public testing::Test {
 protected:
  void SetUp() override { setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1); }

  morsel::Pool OpenDirectory(uint32_t flags = MORSEL_CREATE) const {
    auto pool = morsel::Pool::open(directory_, {.flags = flags});
    EXPECT_TRUE(pool) << morsel_last_error();
    return std::move(*pool);
  }
  morsel::Pool MakeCarved() const {
    auto pool = morsel::Pool::open(
        carved_, {.flags = MORSEL_CREATE | MORSEL_CARVED, .size_bytes = 32 * kMiB});
    EXPECT_TRUE(pool) << morsel_last_error();
    return std::move(*pool);
  }
  // Makes a morsel with one root, and closes it.
  static void Make(morsel::Pool& pool, const std::string& name, uint32_t flags = 0,
                   uint32_t codec = MORSEL_CODEC_NONE) {
    auto made = morsel::Morsel::open(pool, name,
                                     {.flags = MORSEL_CREATE | flags,
                                      .size_bytes = 4 * kMiB,
                                      .capacity_bytes = 8 * kMiB,
                                      .codec = codec});
    ASSERT_TRUE(made) << morsel_last_error();
    void* const object = made->malloc(1000);
    std::memset(object, 'x', 1000);
    EXPECT_TRUE(made->set_root("object", object).ok());
    EXPECT_TRUE(made->close().ok()) << morsel_last_error();
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  std::string directory_ = scratch_.At("directory");
  std::string carved_ = scratch_.At("carved");
  std::string image_ = scratch_.At("image");
};

TEST_F(ToolsTest, PoolStatTellsOfADirectory) {
  morsel::Pool pool = OpenDirectory();
  Make(pool, "a");
  Make(pool, "b");
  const auto info = pool.stat();
  ASSERT_TRUE(info) << morsel_last_error();
  EXPECT_EQ(info->struct_size, sizeof *info);
  EXPECT_EQ(info->flags, 0u);
  EXPECT_EQ(info->snapshot_granularity, 4096u);
  EXPECT_EQ(info->fine_granularity, 64u) << "as the environment says";
  EXPECT_EQ(info->survives_power_off, 0u);
  EXPECT_LT(info->window_begin, info->window_end);
  EXPECT_EQ(info->unit_bytes, 0u);
  EXPECT_LE(info->free_bytes, info->size_bytes);
  EXPECT_EQ(info->morsels, 2u);
  EXPECT_STREQ(info->medium, "memory");
  EXPECT_STREQ(info->file_system, "tmpfs");
  EXPECT_STREQ(info->medium_in_words, "memory (tmpfs)");
  EXPECT_STREQ(info->survival,
               "the last checkpoint outlives the process; all is lost at power-off");
  EXPECT_STRNE(info->frames, "");
  EXPECT_STRNE(info->tracking, "");
  setenv("PMEM2_FORCE_GRANULARITY", "PAGE", 1);
  EXPECT_EQ(pool.stat()->fine_granularity, 0u) << "as on a disk";
  ASSERT_TRUE(pool.close().ok());
  EXPECT_EQ(OpenDirectory(MORSEL_READ_ONLY).stat()->flags, uint32_t{MORSEL_READ_ONLY});
}

TEST_F(ToolsTest, PoolStatTellsOfACarvedPool) {
  morsel::Pool pool = MakeCarved();
  const auto empty = pool.stat();
  ASSERT_TRUE(empty) << morsel_last_error();
  EXPECT_EQ(empty->flags, uint32_t{MORSEL_CARVED});
  EXPECT_EQ(empty->snapshot_granularity, 0u);
  EXPECT_EQ(empty->fine_granularity, 64u);
  EXPECT_EQ(empty->unit_bytes, 2 * kMiB);
  EXPECT_EQ(empty->free_bytes, empty->size_bytes);
  EXPECT_STREQ(empty->medium, "memory");
  EXPECT_STREQ(empty->survival,
               "what was persisted outlives the process; all is lost at power-off");
  EXPECT_STREQ(empty->frames, "");
  Make(pool, "a", MORSEL_FINE);
  const auto info = pool.stat();
  EXPECT_EQ(info->morsels, 1u);
  EXPECT_EQ(info->free_bytes, empty->size_bytes - 4 * kMiB);
  EXPECT_EQ(std::memcmp(info->id, empty->id, sizeof info->id), 0);
}

TEST_F(ToolsTest, FindTellsOfClosedAndOfOpenMorsels) {
  morsel::Pool pool = OpenDirectory();
  Make(pool, "a", 0, MORSEL_CODEC_LZ4);
  const auto closed = pool.find("a");
  ASSERT_TRUE(closed) << morsel_last_error();
  EXPECT_STREQ(closed->name, "a");
  EXPECT_EQ(closed->flags, 0u);
  EXPECT_EQ(closed->size_bytes, 4 * kMiB);
  EXPECT_EQ(closed->codec, uint32_t{MORSEL_CODEC_LZ4});
  EXPECT_EQ(closed->user, getuid());
  EXPECT_EQ(closed->group, getgid());
  EXPECT_GE(closed->live_bytes, 1000u);
  auto open = morsel::Morsel::open(pool, "a");
  ASSERT_NE(open->malloc(100'000), nullptr);
  EXPECT_GE(pool.find("a")->live_bytes, closed->live_bytes + 100'000) << "it is open";
  EXPECT_EQ(pool.find("a")->base, closed->base);
  ASSERT_TRUE(open->discard().ok());
  EXPECT_EQ(pool.find("a")->live_bytes, closed->live_bytes);
  auto growing = morsel::Morsel::open(pool, "g", {.flags = MORSEL_CREATE});
  ASSERT_TRUE(growing->close().ok());
  EXPECT_EQ(pool.find("g")->flags, uint32_t{MORSEL_GROWS});
}

TEST_F(ToolsTest, FindFailsByNameAndByDamage) {
  morsel::Pool pool = OpenDirectory();
  Make(pool, "a");
  EXPECT_EQ(pool.find("b").error(), Code::kNotFound);
  for (const char* const name : {"", "..", "a/b", "../directory/a", ".morsel-pool"}) {
    EXPECT_EQ(pool.find(name).error(), Code::kInvalidArgument) << name;
    EXPECT_EQ(pool.count_huge(name).error(), Code::kInvalidArgument) << name;
    EXPECT_EQ(pool.check(nullptr, name).error(), Code::kInvalidArgument) << name;
  }
  EXPECT_EQ(pool.find(std::string(300, 'x')).error(), Code::kInvalidArgument);
  DamageSuperblocks(directory_ + "/a");
  EXPECT_EQ(pool.find("a").error(), Code::kCorrupt);
  fs::remove(directory_ + "/a");
  fs::create_symlink("/etc/passwd", directory_ + "/a");
  EXPECT_FALSE(pool.find("a")) << "a link leads out of the pool";
}

TEST_F(ToolsTest, ListUnreadableNamesWhatListPassesOver) {
  morsel::Pool pool = OpenDirectory();
  std::vector<morsel::CheckFinding> unreadable;
  ASSERT_TRUE(pool.list_unreadable(unreadable).ok()) << morsel_last_error();
  EXPECT_TRUE(unreadable.empty());
  for (const char* const name : {"c", "a", "b"}) Make(pool, name);
  Make(pool, "f", MORSEL_FINE);
  std::ofstream(directory_ + "/foreign") << "somebody's own file";
  for (const char* const name : {"c", "a", "f"}) DamageSuperblocks(directory_ + "/" + name);
  ASSERT_TRUE(pool.list_unreadable(unreadable).ok()) << morsel_last_error();
  ASSERT_EQ(unreadable.size(), 3u);
  EXPECT_EQ(unreadable[0].subject, "a");
  EXPECT_EQ(unreadable[1].subject, "c");
  EXPECT_EQ(unreadable[2].subject, "f");
  for (const morsel::CheckFinding& one : unreadable) {
    EXPECT_EQ(one.code, Code::kCorrupt);
    EXPECT_NE(one.message.find("/" + one.subject), std::string::npos) << one.message;
  }
  int count = 0;
  const auto stop = [](const char*, morsel_code, const char*, void* counted) {
    return ++*static_cast<int*>(counted);
  };
  EXPECT_EQ(morsel_list_unreadable(pool.handle(), stop, &count), MORSEL_OK);
  EXPECT_EQ(count, 1) << "it was told to stop";
  EXPECT_EQ(morsel_list_unreadable(pool.handle(), nullptr, nullptr), MORSEL_INVALID_ARGUMENT);
}

TEST_F(ToolsTest, CheckTellsAHardLinkFromACopy) {
  morsel::Pool pool = OpenDirectory();
  for (const char* const name : {"a", "c"}) Make(pool, name);
  fs::create_hard_link(directory_ + "/a", directory_ + "/b");
  fs::copy_file(directory_ + "/c", directory_ + "/d");
  std::vector<morsel::CheckFinding> findings;
  const auto found = pool.check(&findings);
  ASSERT_TRUE(found) << morsel_last_error();
  EXPECT_EQ(found->damages, 0u);
  ASSERT_EQ(findings.size(), 2u);
  std::map<std::string, std::string> messages;
  for (const auto& finding : findings) messages[finding.subject] = finding.message;
  EXPECT_NE(messages["morsel 'b'"].find("'a' by another name (a hard link)"), std::string::npos);
  EXPECT_NE(messages["morsel 'd'"].find("a copy of morsel 'c'"), std::string::npos);
}

TEST_F(ToolsTest, CheckFindsDamageAndChangesNothing) {
  morsel::Pool pool = OpenDirectory();
  for (const char* const name : {"a", "b"}) Make(pool, name);
  std::vector<morsel::CheckFinding> findings;
  const auto clean = pool.check(&findings);
  ASSERT_TRUE(clean) << morsel_last_error();
  EXPECT_TRUE(findings.empty());
  EXPECT_EQ(clean->damages, 0u);
  EXPECT_EQ(clean->obstacle, uint32_t{MORSEL_OK});
  EXPECT_EQ(clean->morsels, 2u);
  EXPECT_EQ(clean->roots, 2u);
  EXPECT_GE(clean->live_bytes, 2000u);
  DamageObject(directory_ + "/a");
  const std::string before = morsel::os::BytesOf(directory_ + "/a");
  const auto found = pool.check(&findings);
  ASSERT_TRUE(found) << "a finding is no error";
  EXPECT_EQ(found->damages, 1u);
  EXPECT_EQ(found->morsels, 1u);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].subject, "morsel 'a'");
  EXPECT_EQ(findings[0].code, Code::kCorrupt);
  EXPECT_TRUE(morsel::os::BytesOf(directory_ + "/a") == before);
  EXPECT_EQ(pool.check(nullptr, "b")->damages, 0u);
  EXPECT_EQ(pool.check(nullptr, "a")->damages, 1u);
  EXPECT_EQ(pool.check(nullptr, "c").error(), Code::kNotFound);
}

TEST_F(ToolsTest, CheckIsRefusedWhileAMorselIsOpen) {
  morsel::Pool pool = OpenDirectory();
  Make(pool, "a");
  auto open = morsel::Morsel::open(pool, "a");
  morsel_check_info info;
  std::memset(&info, kSentinel, sizeof info);
  const morsel_check_info before = info;
  info.struct_size = sizeof info;
  EXPECT_EQ(morsel_check(pool.handle(), nullptr, nullptr, nullptr, &info), MORSEL_BUSY);
  EXPECT_TRUE(Says("morsel 'a'")) << morsel_last_error();
  EXPECT_EQ(info.damages, before.damages) << "a failure writes nothing";
  ASSERT_TRUE(open->close().ok());
  EXPECT_EQ(morsel_check(pool.handle(), nullptr, nullptr, nullptr, &info), MORSEL_OK);
  EXPECT_EQ(info.morsels, 1u);
}

TEST_F(ToolsTest, CheckMayBeAnsweredByCallsOfTheLibrary) {
  morsel::Pool pool = OpenDirectory();
  Make(pool, "a");
  DamageObject(directory_ + "/a");
  const auto remove = [](const morsel_finding* finding, void* handle) {
    EXPECT_EQ(finding->struct_size, sizeof *finding);
    EXPECT_EQ(morsel_remove(static_cast<morsel_pool_t*>(handle), "a"), MORSEL_OK);
  };
  morsel_check_info info{};
  EXPECT_EQ(morsel_check(pool.handle(), nullptr, remove, pool.handle(), &info), MORSEL_OK);
  EXPECT_EQ(pool.find("a").error(), Code::kNotFound);
}

TEST_F(ToolsTest, CountHugeCountsAtMostTheMorsel) {
  morsel::Pool pool = MakeCarved();
  Make(pool, "a", MORSEL_FINE);
  const auto huge = pool.count_huge("a");
  ASSERT_TRUE(huge) << morsel_last_error();
  EXPECT_LE(*huge, 2u);
  EXPECT_EQ(pool.count_huge("b").error(), Code::kNotFound);
  auto open = morsel::Morsel::open(pool, "a");
  EXPECT_EQ(pool.count_huge("a").error(), Code::kBusy);
  ASSERT_TRUE(open->close().ok());
  morsel::Pool directory = OpenDirectory();
  Make(directory, "s");
  EXPECT_EQ(directory.count_huge("s").error(), Code::kUnsupported);
  EXPECT_TRUE(Says("morsel_pool_stat()")) << morsel_last_error();
}

TEST_F(ToolsTest, ExportWithOptionsRecodesAndSkips) {
  morsel::Pool pool = OpenDirectory();
  Make(pool, "a", 0, MORSEL_CODEC_ZSTD);
  ASSERT_TRUE(pool.export_to("a", image_, morsel::ExportOptions()).ok()) << morsel_last_error();
  EXPECT_EQ(morsel::stat_image(image_)->codec, uint32_t{MORSEL_CODEC_ZSTD}) << "its own";
  ASSERT_TRUE(
      pool.export_to("a", image_ + "2", {.flags = MORSEL_RECODE, .codec = MORSEL_CODEC_NONE}).ok());
  EXPECT_EQ(morsel::stat_image(image_ + "2")->codec, uint32_t{MORSEL_CODEC_NONE});
  EXPECT_TRUE(morsel::verify(image_ + "2").ok()) << morsel_last_error();
  EXPECT_EQ(pool.export_to("a", image_ + "3", {.flags = MORSEL_SALVAGE}).code(),
            Code::kUnsupported);
  EXPECT_FALSE(fs::exists(image_ + "3"));
  morsel::Pool carved = MakeCarved();
  Make(carved, "f", MORSEL_FINE);
  int skipped = 0;
  const auto count = [](const char*, void* counted) { ++*static_cast<int*>(counted); };
  ASSERT_TRUE(
      carved
          .export_to("f", image_ + "4",
                     {.flags = MORSEL_SALVAGE, .skipped = count, .skipped_context = &skipped})
          .ok())
      << morsel_last_error();
  EXPECT_EQ(skipped, 0) << "nothing of it is bad";
  EXPECT_TRUE(morsel::verify(image_ + "4").ok());
}

TEST_F(ToolsTest, ExportOptionsThatCannotBeMeantAreRefused) {
  morsel::Pool pool = OpenDirectory();
  Make(pool, "a");
  const auto refuses = [&](const morsel::ExportOptions& options, const std::string& words) {
    EXPECT_EQ(pool.export_to("a", image_, options).code(), Code::kInvalidArgument);
    EXPECT_TRUE(Says(words)) << morsel_last_error();
    EXPECT_FALSE(fs::exists(image_));
  };
  const auto ignore = [](const char*, void*) {};
  refuses({.flags = MORSEL_FINE}, "flags 0x10");
  refuses({.codec = MORSEL_CODEC_LZ4}, "MORSEL_RECODE");
  refuses({.flags = MORSEL_RECODE, .codec = 77}, "codec 77");
  refuses({.skipped = ignore}, "MORSEL_SALVAGE");
  EXPECT_EQ(morsel_export_with(pool.handle(), "a", nullptr, nullptr), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_export_with(pool.handle(), "a", "", nullptr), MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(morsel_export_with(pool.handle(), "a", (scratch_.At("none") + "/x").c_str(), nullptr),
            MORSEL_NOT_FOUND);
}

TEST_F(ToolsTest, StatImageReadsTheSuperblockOnly) {
  morsel::Pool pool = OpenDirectory();
  Make(pool, "a");
  ASSERT_TRUE(pool.export_to("a", image_).ok());
  chmod(image_.c_str(), 0640);
  const auto found = pool.find("a");
  const auto info = morsel::stat_image(image_);
  ASSERT_TRUE(info) << morsel_last_error();
  EXPECT_STREQ(info->name, "");
  EXPECT_EQ(info->granularity, 0u);
  EXPECT_EQ(info->mode, 0640u);
  EXPECT_EQ(info->user, getuid());
  EXPECT_EQ(std::memcmp(info->id, found->id, sizeof info->id), 0);
  EXPECT_EQ(info->base, found->base);
  EXPECT_EQ(info->size_bytes, found->size_bytes);
  DamageObject(image_);
  EXPECT_TRUE(morsel::stat_image(image_)) << "only morsel_verify() reads the rest";
  DamageSuperblocks(image_);
  EXPECT_EQ(morsel::stat_image(image_).error(), Code::kCorrupt);
}

TEST_F(ToolsTest, StatImageRefusesWhatIsNoImage) {
  const auto refuses = [](const std::string& path, Code code) {
    EXPECT_EQ(morsel::stat_image(path).error(), code) << path;
    EXPECT_TRUE(Says(path)) << morsel_last_error();
  };
  std::ofstream(scratch_.At("short")) << "x";
  std::ofstream(scratch_.At("long")) << std::string(100'000, 'x');
  std::ofstream(scratch_.At("empty"));
  ASSERT_EQ(mkfifo(scratch_.At("pipe").c_str(), 0600), 0);
  ASSERT_EQ(mknod(scratch_.At("socket").c_str(), S_IFSOCK | 0600, 0), 0);
  for (const char* const name : {"short", "long", "empty", "pipe", "socket"}) {
    refuses(scratch_.At(name), Code::kInvalidArgument);
  }
  refuses(scratch_.path(), Code::kInvalidArgument);
  refuses("/dev/zero", Code::kInvalidArgument);
  refuses(scratch_.At("none"), Code::kNotFound);
  EXPECT_FALSE(morsel::stat_image(std::string(10'000, 'x')));
  EXPECT_FALSE(morsel::stat_image(""));
}

TEST_F(ToolsTest, SalvageCountsWhatIsIntact) {
  morsel::Pool pool = OpenDirectory();
  Make(pool, "a");
  ASSERT_TRUE(pool.export_to("a", image_).ok());
  const auto whole = morsel::salvage_counted(image_, "");
  ASSERT_TRUE(whole) << morsel_last_error();
  EXPECT_GE(*whole, 2 * kMiB);
  EXPECT_EQ(*whole % (2 * kMiB), 0u);
  DamageObject(image_);
  std::vector<std::string> damages;
  const auto intact = morsel::salvage_counted(image_, image_ + "2", &damages);
  ASSERT_TRUE(intact) << morsel_last_error();
  EXPECT_EQ(*intact, *whole - 2 * kMiB * damages.size());
  EXPECT_EQ(damages.size(), 1u);
  EXPECT_TRUE(morsel::verify(image_ + "2").ok());
  EXPECT_EQ(morsel_salvage_counted(image_.c_str(), nullptr, nullptr, nullptr, nullptr),
            MORSEL_INVALID_ARGUMENT);
  uint64_t unchanged = 77;
  EXPECT_EQ(morsel_salvage_counted("/etc/passwd", nullptr, nullptr, nullptr, &unchanged),
            MORSEL_INVALID_ARGUMENT);
  EXPECT_EQ(unchanged, 77u);
}

// Formatting a real device is tested where there is one: ./dev vm.
TEST_F(ToolsTest, FormatTakesNothingButADevice) {
  EXPECT_EQ(morsel::format("/dev/null").code(), Code::kInvalidArgument);
  std::ofstream(image_) << "precious";
  EXPECT_EQ(morsel::format(image_, MORSEL_DESTROY).code(), Code::kInvalidArgument);
  EXPECT_TRUE(Says("no device-dax device")) << morsel_last_error();
  EXPECT_EQ(morsel::os::BytesOf(image_), "precious");
  EXPECT_EQ(morsel::format(scratch_.path()).code(), Code::kInvalidArgument);
  EXPECT_EQ(morsel::format(scratch_.At("none")).code(), Code::kNotFound);
  EXPECT_EQ(morsel::format("/dev/null", MORSEL_CREATE).code(), Code::kInvalidArgument);
  EXPECT_TRUE(Says("MORSEL_DESTROY")) << morsel_last_error();
  EXPECT_EQ(morsel_format(nullptr, 0), MORSEL_INVALID_ARGUMENT);
}

TEST_F(ToolsTest, CodecsAreNumberedWithoutGaps) {
  EXPECT_STREQ(morsel::codec_name(MORSEL_CODEC_NONE), "none");
  EXPECT_STREQ(morsel::codec_name(MORSEL_CODEC_LZ4), "lz4");
  EXPECT_STREQ(morsel::codec_name(MORSEL_CODEC_ZSTD), "zstd");
  EXPECT_EQ(morsel::codec_name(MORSEL_CODEC_ZSTD + 1), nullptr);
  EXPECT_EQ(morsel::codec_name(~0u), nullptr);
}

TEST_F(ToolsTest, NullIsRefusedWithTheNameOfTheCall) {
  morsel::Pool pool = OpenDirectory();
  morsel_pool_t* const handle = pool.handle();
  morsel_info info{};
  morsel_pool_info pool_info{};
  morsel_check_info check_info{};
  uint64_t number = 0;
  const auto visit = [](const char*, morsel_code, const char*, void*) { return 0; };
  const std::map<std::string, std::vector<morsel_code>> calls = {
      {"morsel_check",
       {morsel_check(nullptr, nullptr, nullptr, nullptr, &check_info),
        morsel_check(handle, nullptr, nullptr, nullptr, nullptr)}},
      {"morsel_count_huge",
       {morsel_count_huge(nullptr, "a", &number), morsel_count_huge(handle, "a", nullptr),
        morsel_count_huge(handle, nullptr, &number)}},
      {"morsel_export_with",
       {morsel_export_with(nullptr, "a", "/x", nullptr),
        morsel_export_with(handle, nullptr, "/x", nullptr)}},
      {"morsel_find",
       {morsel_find(nullptr, "a", &info), morsel_find(handle, "a", nullptr),
        morsel_find(handle, nullptr, &info)}},
      {"morsel_list_unreadable", {morsel_list_unreadable(nullptr, visit, nullptr)}},
      {"morsel_pool_stat",
       {morsel_pool_stat(nullptr, &pool_info), morsel_pool_stat(handle, nullptr)}},
      {"morsel_stat_image", {morsel_stat_image(nullptr, &info), morsel_stat_image("/x", nullptr)}},
      {"morsel_salvage_counted",
       {morsel_salvage_counted(nullptr, nullptr, nullptr, nullptr, &number)}},
  };
  for (const auto& [call, codes] : calls) {
    for (const morsel_code code : codes) EXPECT_EQ(code, MORSEL_INVALID_ARGUMENT) << call;
  }
  EXPECT_EQ(morsel_find(nullptr, "a", &info), MORSEL_INVALID_ARGUMENT);
  EXPECT_TRUE(Says("morsel_find")) << morsel_last_error();
}

}  // namespace
