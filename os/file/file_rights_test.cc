#include "os/file/file_rights.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "os/file/directory.h"
#include "os/testing/other_user_testing.h"
#include "os/testing/scratch_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::os {
namespace {

constexpr uint16_t kOwner = 1, kUser = 2, kGroupOwner = 4, kGroup = 8, kMask = 16, kOther = 32;
constexpr uint32_t kNobody = 0xffffffff;

struct Entry {
  uint16_t tag, rights;
  uint32_t id;
};

std::string Acl(const std::vector<Entry>& entries) {
  const uint32_t version = 2;
  std::string acl(reinterpret_cast<const char*>(&version), sizeof version);
  acl.append(reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof(Entry));
  return acl;
}

// Bob may read, the group may not.
std::string ForBob() {
  return Acl({{kOwner, 6, kNobody},
              {kUser, 4, kBob.user},
              {kGroupOwner, 0, kNobody},
              {kMask, 4, kNobody},
              {kOther, 0, kNobody}});
}

class FileRightsTest : public testing::Test {
 protected:
  FileRights Made(const FileRights& rights) {
    const Result<Directory> directory = Directory::Open(calls_, folder_);
    const Result<TemporaryFile> made = directory->MakeTemporary("a", rights);
    EXPECT_TRUE(made.has_value()) << LastError();
    if (!made) return 0;
    const Result<struct stat> status = made->file.Stat();
    return {status->st_mode & 07777, status->st_gid, AclOf(made->file)};
  }

  Scratch scratch_ = Scratch::OnDisk();
  std::string folder_ = scratch_.path();
  ScriptedCalls calls_;
};

TEST_F(FileRightsTest, AFileGetsGroupListAndMode) {
  const FileRights plain = Made({0640, kBob.group, ""});
  EXPECT_EQ(plain.mode, 0640u);
  EXPECT_EQ(*plain.group, kBob.group);
  EXPECT_EQ(plain.acl, "");
  const FileRights listed = Made({0640, kBob.group, ForBob()});
  EXPECT_EQ(listed.mode, 0640u);
  EXPECT_EQ(listed.acl, ForBob());
}

// By the umask, e.g.
TEST_F(FileRightsTest, TheModeCountsForTheMaskOfTheList) {
  const FileRights none = Made({0600, kBob.group, ForBob()});
  EXPECT_EQ(none.mode, 0600u);
}

TEST_F(FileRightsTest, WhereTheGroupCannotBeGivenNobodyGetsMore) {
  calls_.Play(FailEach(Call::kChangeGroup, EPERM));
  EXPECT_EQ(Made({0640, kBob.group, ""}).mode, 0600u);
  EXPECT_EQ(Made({0664, kBob.group, ""}).mode, 0644u);
  // Who was in the group would be one of all others.
  EXPECT_EQ(Made({0604, kBob.group, ""}).mode, 0600u);
  const FileRights listed = Made({0640, kBob.group, ForBob()});
  EXPECT_EQ(listed.mode, 0600u);
  EXPECT_EQ(listed.acl, "");
}

TEST_F(FileRightsTest, AUserGivesNoGroupThatIsNotTheirs) {
  const Scratch in_memory = Scratch::InMemory();  // where other users come, too
  ASSERT_EQ(chmod(in_memory.path().c_str(), 0777), 0);
  folder_ = in_memory.path();
  ExpectAs(kAlice, [&] {
    EXPECT_EQ(Made({0640, kAlice.group, ""}).mode, 0640u);
    EXPECT_EQ(Made({0640, kBob.group, ""}).mode, 0600u);
  });
}

TEST_F(FileRightsTest, WhereThereAreNoListsTheMaskIsNotTheGroups) {
  calls_.Play(FailEach(Call::kSetAttribute, EOPNOTSUPP));
  EXPECT_EQ(Made({0640, kBob.group, ForBob()}).mode, 0600u);
  // Bob, who may nothing, would be one of all others.
  const std::string not_for_bob = Acl({{kOwner, 6, kNobody},
                                       {kUser, 0, kBob.user},
                                       {kGroupOwner, 6, kNobody},
                                       {kGroup, 4, kBob.group},
                                       {kMask, 4, kNobody},
                                       {kOther, 4, kNobody}});
  EXPECT_EQ(Made({0644, kBob.group, not_for_bob}).mode, 0600u);
}

// It would be the directory's, of which the other file knew nothing.
TEST_F(FileRightsTest, WhatTheDirectoryGivesANewFileIsTakenAway) {
  const std::string acl = ForBob();
  ASSERT_EQ(
      setxattr(scratch_.path().c_str(), "system.posix_acl_default", acl.data(), acl.size(), 0), 0)
      << std::strerror(errno);
  const FileRights plain = Made({0640, getegid(), ""});
  EXPECT_EQ(plain.acl, "");
  EXPECT_EQ(plain.mode, 0640u);
  calls_.Play(FailEach(Call::kSetAttribute, EPERM));
  EXPECT_EQ(Made({0640, getegid(), ""}).mode, 0600u);
}

TEST_F(FileRightsTest, UntilItHasItsGroupTheFileIsItsOwnersAlone) {
  std::vector<std::string> order;
  calls_.AfterEach([&](const Call& call) {
    if (call.kind == Call::kChangeGroup) {
      struct stat status;
      ASSERT_EQ(fstat(call.file, &status), 0);
      EXPECT_EQ(status.st_mode & 0777, 0600u);
      order.emplace_back("group");
    }
    if (call.kind == Call::kSetAttribute) order.emplace_back("list");
    if (call.kind == Call::kChangeMode) order.emplace_back("mode");
  });
  Made({0644, kBob.group, ForBob()});
  ASSERT_FALSE(order.empty());
  EXPECT_EQ(order.front(), "group");
}

}  // namespace
}  // namespace morsel::os
