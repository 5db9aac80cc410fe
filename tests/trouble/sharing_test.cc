// Pools of a group, files that are not everybody's, links, and several handles of one pool.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "morsel/tools.h"
#include "os/testing/other_user_testing.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

namespace fs = std::filesystem;
using os::ExpectAs;
using os::kAlice;
using os::kBob;

class SharingTest : public TroubleTest {
 protected:
  void SetUp() override {
    TroubleTest::SetUp();
    ASSERT_EQ(chmod(folder_.c_str(), 01777), 0);
  }
  static struct stat StatusOf(const std::string& path) {
    struct stat status = {};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status;
  }
  using Unread = std::map<std::string, std::pair<morsel_code, std::string>>;
  static Unread UnreadIn(morsel_pool_t* pool) {
    Unread unread;
    const auto add = [](const char* name, morsel_code code, const char* message, void* all) {
      (*static_cast<Unread*>(all))[name] = {code, message};
      return 0;
    };
    EXPECT_EQ(morsel_list_unreadable(pool, add, &unread), MORSEL_OK) << morsel_last_error();
    return unread;
  }
};

TEST_F(SharingTest, WhatOneMayNotReadIsListedByName) {
  ExpectAs(kAlice, [&] {
    Make(directory_, 0, {"mine", "ours"}, "Alice's");
    ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
    ASSERT_EQ(chmod((directory_ + "/mine").c_str(), 0600), 0);
    ASSERT_EQ(chmod((directory_ + "/.morsel-pool").c_str(), 0644), 0);
  });
  ExpectAs(kBob, [&] {
    morsel_pool_t* const pool = OpenPool(directory_, MORSEL_READ_ONLY);
    const Unread unread = UnreadIn(pool);
    ASSERT_EQ(unread.size(), 1u);
    EXPECT_EQ(unread.begin()->first, "mine");
    EXPECT_EQ(unread.begin()->second.first, MORSEL_PERMISSION);
    EXPECT_EQ(TextOf(Open(pool, "ours", MORSEL_READ_ONLY)), "Alice's");
  });
}

// The directory is the group's by its set-group-ID bit, or since the group may write it. Alice is
// in the group, and it is not the one that her files get by themselves.
TEST_F(SharingTest, WhatIsMadeInAGroupsDirectoryIsTheGroups) {
  constexpr gid_t kGroup = kBob.group;
  for (const mode_t mode : {02770u, 0770u}) {
    const std::string path = scratch_.At("group" + std::to_string(mode));
    ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
    ASSERT_EQ(chown(path.c_str(), kAlice.user, kGroup), 0);
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    const auto in_group = [&](const os::User& user, const std::function<void()>& body) {
      ExpectAs({user.user, user.group, kGroup}, body);
    };
    in_group(kAlice, [&] {
      morsel_pool_t* const pool = OpenPool(path, MORSEL_CREATE);
      morsel_options options = {};
      options.flags = MORSEL_CREATE;
      options.mode = 0660;
      morsel_t* morsel = nullptr;
      ASSERT_EQ(morsel_open(pool, "ours", &options, &morsel), MORSEL_OK) << morsel_last_error();
      ASSERT_EQ(morsel_close(morsel), MORSEL_OK) << morsel_last_error();
      ASSERT_EQ(morsel_pool_close(pool), MORSEL_OK);
    });
    for (const char* const file : {"/ours", "/.morsel-pool", "/.morsel-lock"}) {
      EXPECT_EQ(StatusOf(path + file).st_gid, kGroup) << file << " in " << mode;
      EXPECT_EQ(StatusOf(path + file).st_mode & 07777, 0660u) << file << " in " << mode;
    }
    ExpectAs(kBob, [&] {
      morsel_pool_t* const pool = OpenPool(path);
      EXPECT_EQ(morsel_close(Open(pool, "ours")), MORSEL_OK) << morsel_last_error();
      EXPECT_EQ(morsel_close(Open(pool, "his", MORSEL_CREATE)), MORSEL_OK) << morsel_last_error();
      EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
    });
  }
}

TEST_F(SharingTest, APoolThatIsMadeInAGroupsDirectoryKeepsTheBit) {
  ASSERT_EQ(chown(folder_.c_str(), 0, kBob.group), 0);
  ASSERT_EQ(chmod(folder_.c_str(), 02777), 0);
  ExpectAs(kAlice, [&] { EXPECT_EQ(morsel_pool_close(MakeDirectoryPool()), MORSEL_OK); });
  EXPECT_EQ(StatusOf(directory_).st_mode & 07777, 02755u);
  EXPECT_EQ(StatusOf(directory_).st_gid, kBob.group);
}

void AddFinding(const morsel_finding* finding, void* findings) {
  static_cast<std::vector<std::string>*>(findings)->push_back(std::string(finding->subject) + ": " +
                                                              finding->message);
}

TEST_F(SharingTest, ALinkToAMorselIsToldAndNotFollowed) {
  Make(directory_, 0, {"a"});
  fs::rename(directory_ + "/a", folder_ + "/elsewhere");
  fs::create_symlink(folder_ + "/elsewhere", directory_ + "/a");
  fs::create_symlink(folder_ + "/not-mounted", directory_ + "/b");
  fs::create_symlink("/etc/passwd", directory_ + "/stranger");
  morsel_pool_t* const pool = OpenPool(directory_);
  const Unread unread = UnreadIn(pool);
  ASSERT_EQ(unread.size(), 2u);
  for (const char* const name : {"a", "b"}) {
    EXPECT_EQ(unread.at(name).first, MORSEL_UNSUPPORTED);
    EXPECT_NE(unread.at(name).second.find("link"), std::string::npos) << unread.at(name).second;
    ExpectFailure(Try(pool, name), MORSEL_UNSUPPORTED, {directory_ + "/" + name, "link", "mount"});
  }
  std::vector<std::string> findings;
  morsel_check_info info = {};
  info.struct_size = sizeof info;
  EXPECT_EQ(morsel_check(pool, nullptr, AddFinding, &findings, &info), MORSEL_OK);
  EXPECT_EQ(info.obstacle, static_cast<uint32_t>(MORSEL_UNSUPPORTED));
  EXPECT_EQ(findings.size(), 2u);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_F(SharingTest, HandlesForReadingOfOnePoolAreOne) {
  for (const bool carved : {false, true}) {
    const std::string& path = carved ? carved_ : directory_;
    Make(path, carved ? unsigned{MORSEL_CARVED} : 0u, {"a"});
    morsel_pool_t* const one = OpenPool(path, MORSEL_READ_ONLY);
    const std::string again = fs::path(path).parent_path() / "." / fs::path(path).filename();
    morsel_pool_t* const other = OpenPool(again, MORSEL_READ_ONLY);
    morsel_t* const a = Open(one, "a", MORSEL_READ_ONLY);
    EXPECT_EQ(Open(other, "a", MORSEL_READ_ONLY), a);
    EXPECT_EQ(morsel_close(a), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(one), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(TextOf(a), "as it was");
    ExpectFailure(morsel_pool_close(other), MORSEL_BUSY, {"'a'"});
    InChild([&] {
      EXPECT_EQ(TextOf(Open(OpenPool(path, MORSEL_READ_ONLY), "a", MORSEL_READ_ONLY)), "as it was");
    });
    EXPECT_EQ(morsel_close(a), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(other), MORSEL_OK) << morsel_last_error();
  }
}

}  // namespace
}  // namespace morsel::trouble
