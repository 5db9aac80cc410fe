// A heap that was made when roots lay in a table: heap_version_2.image.zst has 255 of them, all
// that such a table takes but for one that was forgotten. "account I" leads to an Account of id I,
// but for "account 7", which was forgotten, and 255, whose name is 111 times 'z'.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "morsel/morsel.hpp"
#include "os/testing/scratch_testing.h"

namespace {

struct Account {
  int64_t id;
  double balance;
};

std::string Unpacked(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string packed{std::istreambuf_iterator<char>(file), {}};
  std::string bytes(ZSTD_getFrameContentSize(packed.data(), packed.size()), '\0');
  EXPECT_EQ(ZSTD_decompress(bytes.data(), bytes.size(), packed.data(), packed.size()),
            bytes.size());
  return bytes;
}

std::string NameOf(int i) {
  return i == 255 ? std::string(111, 'z') : "account " + std::to_string(i);
}

class HeapVersion2Test : public testing::Test {
 protected:
  morsel::Morsel Open(uint32_t flags = 0) {
    auto opened = morsel::Morsel::open(pool_, "m", {.flags = flags});
    EXPECT_TRUE(opened) << morsel_last_error();
    return std::move(*opened);
  }
  void SetUp() override {
    std::ofstream(scratch_.At("pool") + "/m", std::ios::binary)
        << Unpacked("tests/format/heap_version_2.image.zst");
  }
  static uint32_t VersionOf(const morsel::Morsel& m) {
    return static_cast<const uint32_t*>(m.base())[2];
  }
  static void ExpectAccount(const morsel::Morsel& m, int i) {
    const auto* const account = m.root<Account>(NameOf(i).c_str());
    ASSERT_NE(account, nullptr) << NameOf(i) << ": " << morsel_last_error();
    EXPECT_EQ(account->id, i);
    EXPECT_EQ(account->balance, i * 0.5);
  }

  morsel::os::Scratch scratch_ = morsel::os::Scratch::InMemory();
  morsel::Pool pool_ = *morsel::Pool::open(scratch_.At("pool"), {.flags = MORSEL_CREATE});
};

// Its file is an image of version 4. Who reads it leaves it so; who is to write it stores it anew.
TEST_F(HeapVersion2Test, ItsImageIsStoredAnewWhenItIsOpenedForWriting) {
  const std::string path = scratch_.At("pool") + "/m";
  const auto version = [&] {
    std::ifstream file(path, std::ios::binary);
    file.seekg(16);
    return file.get();
  };
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  EXPECT_EQ(version(), 4);
  const std::string exported = scratch_.At("exported");
  ASSERT_TRUE(pool_.export_to("m", exported).ok()) << morsel_last_error();
  { const morsel::Morsel m = Open(MORSEL_READ_ONLY); }
  EXPECT_EQ(version(), 4);
  struct stat before;
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  {
    const morsel::Morsel m = Open();
    ExpectAccount(m, 1);
  }
  EXPECT_EQ(version(), 5);
  struct stat after;
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  EXPECT_NE(after.st_ino, before.st_ino);
  EXPECT_EQ(after.st_mode, before.st_mode);
  for (const int i : {1, 100, 255}) ExpectAccount(Open(MORSEL_READ_ONLY), i);
  // What was exported of it is of this version, too.
  ASSERT_TRUE(pool_.remove("m").ok()) << morsel_last_error();
  ASSERT_TRUE(pool_.import_from(exported).ok()) << morsel_last_error();
  EXPECT_EQ(version(), 5);
  ExpectAccount(Open(MORSEL_READ_ONLY), 1);
}

// The other name would keep the old state.
TEST_F(HeapVersion2Test, AFileOfTwoNamesIsNotStoredAnew) {
  const std::string path = scratch_.At("pool") + "/m";
  ASSERT_EQ(link(path.c_str(), scratch_.At("second").c_str()), 0);
  const auto refused = morsel::Morsel::open(pool_, "m");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), morsel::Code::kUnsupported);
  EXPECT_NE(std::string(morsel_last_error()).find("hard links"), std::string::npos)
      << morsel_last_error();
  ExpectAccount(Open(MORSEL_READ_ONLY), 1);
  ASSERT_EQ(unlink(scratch_.At("second").c_str()), 0);
  const auto info = [&](const morsel::Morsel& m) {
    morsel_info found = {};
    found.struct_size = sizeof found;
    EXPECT_EQ(morsel_stat(m.handle(), &found), MORSEL_OK);
    return found.generation;
  };
  const uint64_t generation = info(Open(MORSEL_READ_ONLY));
  EXPECT_GE(info(Open()), generation);
}

TEST_F(HeapVersion2Test, ItsRootsAreFound) {
  const morsel::Morsel m = Open(MORSEL_READ_ONLY);
  EXPECT_EQ(VersionOf(m), 2u);
  for (int i = 0; i < 256; ++i) {
    if (i != 7) ExpectAccount(m, i);
  }
  EXPECT_EQ(m.root(NameOf(7).c_str()), nullptr);
}

TEST_F(HeapVersion2Test, ItStaysWhileRootsAreOnlyForgotten) {
  {
    morsel::Morsel m = Open();
    EXPECT_TRUE(m.set_root(NameOf(8).c_str(), nullptr).ok()) << morsel_last_error();
    ASSERT_TRUE(m.close().ok());
  }
  const morsel::Morsel m = Open();
  EXPECT_EQ(VersionOf(m), 2u);
  EXPECT_EQ(m.root(NameOf(8).c_str()), nullptr);
  ExpectAccount(m, 9);
}

TEST_F(HeapVersion2Test, ItBecomesVersion3WithTheFirstRootThatIsSet) {
  {
    morsel::Morsel m = Open();
    for (int i = 256; i < 1000; ++i) {
      auto* const account = m.make<Account>(Account{i, i * 0.5});
      ASSERT_TRUE(m.set_root(NameOf(i).c_str(), account).ok()) << morsel_last_error();
    }
    auto* const other = m.make<Account>(Account{4711, 0});
    ASSERT_TRUE(m.set_root(NameOf(0).c_str(), other).ok()) << morsel_last_error();
    ASSERT_TRUE(m.close().ok());
  }
  const morsel::Morsel m = Open();
  EXPECT_EQ(VersionOf(m), 3u);
  EXPECT_EQ(m.root<Account>(NameOf(0).c_str())->id, 4711);
  for (int i = 1; i < 1000; ++i) {
    if (i != 7) ExpectAccount(m, i);
  }
}

}  // namespace
