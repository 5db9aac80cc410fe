// Two ordinary users beside root: what each may do with the others' pools and morsels.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "os/testing/other_user_testing.h"
#include "tests/trouble/trouble_testing.h"

namespace morsel::trouble {
namespace {

using os::ExpectAs;
using os::kAlice;
using os::kBob;

class UsersTest : public TroubleTest {
 protected:
  void SetUp() override {
    TroubleTest::SetUp();
    // Both may make files here, as in /tmp.
    ASSERT_EQ(chmod(folder_.c_str(), 01777), 0);
  }
  // A pool of Alice's, with a morsel that has a text. `mode` is the directory's, and without the
  // bits that make programs the files'.
  void MakePoolOfAlice(uint32_t mode) {
    ExpectAs(kAlice, [&] {
      Make(directory_, 0, {"notes"}, "Alice's");
      for (const char* const at : {"", "/notes", "/.morsel-pool"}) {
        const bool is_folder = *at == '\0';
        ASSERT_EQ(chmod((directory_ + at).c_str(), is_folder ? mode : mode & 0666), 0);
      }
    });
  }
  // An image of one that Bob has made, in a pool of that kind.
  void MakeBobsImage(unsigned kind) {
    ExpectAs(kBob, [&] {
      Make(scratch_.At("mine"), kind, {"notes"}, "Bob's");
      morsel_pool_t* const pool = OpenPool(scratch_.At("mine"), MORSEL_READ_ONLY);
      ASSERT_EQ(morsel_export(pool, "notes", scratch_.At("image").c_str()), MORSEL_OK);
      EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
    });
  }
  // Tries to move and to replace the morsel, which must not work, and to look at it and to copy it,
  // which must not work unless it may be read.
  void TryAll(const std::string& path, const char* name, bool may_read) {
    morsel_pool_t* const pool = OpenPool(path);
    morsel_rebase_options dry{};
    dry.struct_size = sizeof dry;
    dry.flags = MORSEL_DRY_RUN;
    morsel_rebase_info info{};
    info.struct_size = sizeof info;
    morsel_import_options replace{};
    replace.struct_size = sizeof replace;
    replace.flags = MORSEL_REPLACE | MORSEL_REBASE;
    replace.name = name;
    ExpectFailure(morsel_rebase(pool, name, nullptr, &info), MORSEL_PERMISSION, {name});
    ExpectFailure(morsel_import_with(pool, scratch_.At("image").c_str(), &replace, &info),
                  MORSEL_PERMISSION, {name});
    EXPECT_EQ(info.base_before, nullptr);
    const morsel_code seen = morsel_rebase(pool, name, &dry, &info);
    const morsel_code copied = morsel_copy(pool, name, "copy", nullptr, nullptr);
    if (may_read) {
      EXPECT_EQ(seen, MORSEL_OK) << morsel_last_error();
      EXPECT_EQ(copied, MORSEL_OK) << morsel_last_error();
      EXPECT_EQ(morsel_remove(pool, "copy"), MORSEL_OK) << morsel_last_error();
    } else {
      EXPECT_EQ(seen, MORSEL_PERMISSION) << morsel_last_error();
      EXPECT_EQ(copied, MORSEL_PERMISSION) << morsel_last_error();
      EXPECT_EQ(info.base_before, nullptr);
    }
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  }
  // Makes whatever can be made of the morsel of directory_, and moves it. Returns the doubts.
  std::vector<std::string> MakeAllOf(const char* name) {
    std::vector<std::string> doubts;
    morsel_rebase_options moving{};
    moving.struct_size = sizeof moving;
    moving.doubtful = [](const morsel_doubt* doubt, void* all) {
      static_cast<std::vector<std::string>*>(all)->emplace_back(doubt->message);
    };
    moving.doubtful_context = &doubts;
    const std::vector<std::string> made = AllMade(name);
    morsel_pool_t* const pool = OpenPool(directory_);
    EXPECT_EQ(morsel_copy(pool, name, "copy", &moving, nullptr), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_export(pool, name, made[2].c_str()), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_export_coded(pool, name, made[3].c_str(), MORSEL_CODEC_LZ4), MORSEL_OK);
    morsel_t* const opened = Open(pool, name);
    EXPECT_EQ(morsel_export(pool, name, made[4].c_str()), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_close(opened), MORSEL_OK);
    EXPECT_EQ(morsel_rebase(pool, name, &moving, nullptr), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_import(pool, made[2].c_str(), "imported"), MORSEL_OK) << morsel_last_error();
    morsel_import_options replace{};
    replace.struct_size = sizeof replace;
    replace.flags = MORSEL_REPLACE;
    replace.name = "imported";
    EXPECT_EQ(morsel_import_with(pool, made[2].c_str(), &replace, nullptr), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
    return doubts;
  }
  std::vector<std::string> AllMade(const std::string& name) const {
    return {directory_ + "/" + name, directory_ + "/copy",   scratch_.At("image"),
            scratch_.At("coded"),    scratch_.At("of open"), directory_ + "/imported"};
  }
  static std::string AclForBob() {
    const struct {
      uint16_t tag, rights;
      uint32_t id;
    } entries[] = {{1, 6, ~0u}, {2, 4, kBob.user}, {4, 0, ~0u}, {16, 4, ~0u}, {32, 0, ~0u}};
    const uint32_t version = 2;
    return std::string(reinterpret_cast<const char*>(&version), sizeof version) +
           std::string(reinterpret_cast<const char*>(entries), sizeof entries);
  }
  static struct stat StatusOf(const std::string& path) {
    struct stat status = {};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status;
  }
  static unsigned ModeOf(const std::string& path) { return StatusOf(path).st_mode & 07777; }
};

TEST_F(UsersTest, APoolIsItsMakersAlone) {
  ExpectAs(kAlice, [&] {
    morsel_pool_t* pool = nullptr;
    morsel_pool_options options = {};
    options.flags = MORSEL_CREATE;
    ASSERT_EQ(morsel_pool_open(directory_.c_str(), &options, &pool), MORSEL_OK);
    morsel_t* notes = nullptr;
    morsel_options make = {};
    make.flags = MORSEL_CREATE;
    ASSERT_EQ(morsel_open(pool, "notes", &make, &notes), MORSEL_OK);
    EXPECT_EQ(morsel_close(notes), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
  const struct stat status = StatusOf(directory_ + "/notes");
  EXPECT_EQ(status.st_uid, kAlice.user);
  EXPECT_EQ(status.st_gid, kAlice.group);
  EXPECT_EQ(ModeOf(directory_), 0700u);
  EXPECT_EQ(ModeOf(directory_ + "/notes"), 0600u);
  ExpectAs(kBob, [&] {
    for (const uint32_t flags : {0u, uint32_t{MORSEL_READ_ONLY}, uint32_t{MORSEL_CREATE}}) {
      ExpectFailure(TryPool(directory_, flags), MORSEL_PERMISSION, {directory_, "owner and mode"});
    }
  });
}

TEST_F(UsersTest, WhoMayReadReadsAndChangesNothing) {
  MakePoolOfAlice(0755);
  const Bytes before = AllBytes(directory_);
  ExpectAs(kBob, [&] {
    ExpectFailure(TryPool(directory_), MORSEL_PERMISSION, {directory_, "owner and mode"});
    morsel_pool_t* const pool = OpenPool(directory_, MORSEL_READ_ONLY);
    morsel_t* const notes = Open(pool, "notes", MORSEL_READ_ONLY);
    EXPECT_EQ(TextOf(notes), "Alice's");
    ExpectFailure(morsel_checkpoint(notes), MORSEL_PERMISSION, {"notes"});
    EXPECT_EQ(morsel_close(notes), MORSEL_OK);
    ExpectFailure(morsel_remove(pool, "notes"), MORSEL_PERMISSION, {directory_});
    ExpectFailure(morsel_rename(pool, "notes", "mine"), MORSEL_PERMISSION, {directory_});
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
  EXPECT_EQ(AllBytes(directory_), before);
}

TEST_F(UsersTest, WhatRootCheckpointsStaysItsOwners) {
  MakePoolOfAlice(0700);
  morsel_pool_t* const pool = OpenPool(directory_);
  morsel_t* const notes = Open(pool, "notes");
  EXPECT_EQ(morsel_checkpoint(notes), MORSEL_OK);
  EXPECT_EQ(morsel_close(notes), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  ExpectAs(kAlice, [&] {
    morsel_pool_t* const mine = OpenPool(directory_);
    morsel_t* const again = Open(mine, "notes");
    EXPECT_EQ(TextOf(again), "Alice's");
    EXPECT_EQ(morsel_close(again), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(mine), MORSEL_OK);
  });
}

// A directory for all, where the kernel alone would let each take the place of the other's files.
TEST_F(UsersTest, WhatIsMadeAnewNeitherChangesNorRevealsAnothersMorsel) {
  MakeBobsImage(0);
  MakePoolOfAlice(0777);
  // It gives .morsel-lock the rights of the directory.
  ExpectAs(kAlice, [&] { EXPECT_EQ(morsel_pool_close(OpenPool(directory_)), MORSEL_OK); });
  for (const unsigned mode : {0600u, 0644u, 0666u}) {
    SCOPED_TRACE(mode);
    ASSERT_EQ(chmod((directory_ + "/notes").c_str(), mode), 0);
    const std::string before = AllBytes(directory_)["notes"];
    const bool may_read = mode != 0600;
    ExpectAs(kBob, [&] { TryAll(directory_, "notes", may_read); });
    EXPECT_EQ(AllBytes(directory_)["notes"], before);
    EXPECT_EQ(StatusOf(directory_ + "/notes").st_uid, kAlice.user);
    // Of root's it would become root's.
    TryAll(directory_, "notes", /*may_read=*/true);
    EXPECT_EQ(AllBytes(directory_)["notes"], before);
  }
}

TEST_F(UsersTest, WhatIsMadeAnewInACarvedPoolNeitherChangesNorRevealsAnothersMorsel) {
  MakeBobsImage(MORSEL_CARVED);
  ExpectAs(kAlice, [&] {
    Make(carved_, MORSEL_CARVED, {"notes"}, "Alice's");
    ASSERT_EQ(chmod(carved_.c_str(), 0666), 0);
    morsel_pool_t* const pool = OpenPool(carved_);
    morsel_options options = {};
    options.flags = MORSEL_CREATE | MORSEL_FINE;
    options.mode = 0600;
    morsel_t* made = nullptr;
    ASSERT_EQ(morsel_open(pool, "private", &options, &made), MORSEL_OK);
    EXPECT_EQ(morsel_close(made), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
  ExpectAs(kBob, [&] {
    TryAll(carved_, "notes", /*may_read=*/true);
    TryAll(carved_, "private", /*may_read=*/false);
  });
  ExpectAs(kAlice, [&] {
    morsel_pool_t* const pool = OpenPool(carved_);
    morsel_t* const notes = Open(pool, "notes");
    EXPECT_EQ(TextOf(notes), "Alice's");
    EXPECT_EQ(morsel_close(notes), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
}

TEST_F(UsersTest, AMorselThatIsMovedOrCopiedStaysAsPrivateAsItWas) {
  MakePoolOfAlice(0700);
  ExpectAs(kAlice, [&] {
    umask(0);
    morsel_pool_t* const pool = OpenPool(directory_);
    EXPECT_EQ(morsel_rebase(pool, "notes", nullptr, nullptr), MORSEL_OK) << morsel_last_error();
    EXPECT_EQ(morsel_copy(pool, "notes", "copy", nullptr, nullptr), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
  for (const char* const name : {"/notes", "/copy"}) {
    EXPECT_EQ(ModeOf(directory_ + name), 0600u) << name;
    EXPECT_EQ(StatusOf(directory_ + name).st_uid, kAlice.user) << name;
  }
}

// A folder whose files get its group, which is not that of the morsel.
TEST_F(UsersTest, WhatIsMadeOfAMorselKeepsItsGroup) {
  MakePoolOfAlice(0755);
  ASSERT_EQ(chmod((directory_ + "/notes").c_str(), 0640), 0);
  for (const std::string& folder : {directory_, folder_}) {
    ASSERT_EQ(chown(folder.c_str(), static_cast<uid_t>(-1), kBob.group), 0);
    ASSERT_EQ(chmod(folder.c_str(), 02777), 0);
  }
  ExpectAs(kAlice, [&] {
    umask(0);
    MakeAllOf("notes");
  });
  for (const std::string& path : AllMade("notes")) {
    EXPECT_EQ(ModeOf(path), 0640u) << path;
    EXPECT_EQ(StatusOf(path).st_gid, kAlice.group) << path;
  }
}

TEST_F(UsersTest, WhereTheGroupCannotBeGivenItsRightsGoToNobody) {
  MakePoolOfAlice(0755);
  const std::string notes = directory_ + "/notes";
  ASSERT_EQ(chown(notes.c_str(), static_cast<uid_t>(-1), kBob.group), 0);
  ASSERT_EQ(chmod(notes.c_str(), 0660), 0);
  ExpectAs(kAlice, [&] {
    umask(0);
    const std::vector<std::string> doubts = MakeAllOf("notes");
    ASSERT_EQ(doubts.size(), 2u);
    for (const std::string& doubt : doubts) {
      EXPECT_NE(doubt.find("group " + std::to_string(kBob.group)), std::string::npos) << doubt;
    }
  });
  for (const std::string& path : AllMade("notes")) {
    EXPECT_EQ(ModeOf(path), 0600u) << path;
    EXPECT_EQ(StatusOf(path).st_gid, kAlice.group) << path;
  }
}

// Bob may read it, and the group, which is all that the mode shows, may not.
TEST_F(UsersTest, WhatIsMadeOfAMorselKeepsItsAccessControlList) {
  MakePoolOfAlice(0755);
  const std::string acl = AclForBob();
  ASSERT_EQ(setxattr((directory_ + "/notes").c_str(), "system.posix_acl_access", acl.data(),
                     acl.size(), 0),
            0)
      << std::strerror(errno);
  ExpectAs(kAlice, [&] {
    umask(0);
    MakeAllOf("notes");
  });
  for (const std::string& path : AllMade("notes")) {
    char found[64] = {};
    const ssize_t size = getxattr(path.c_str(), "system.posix_acl_access", found, sizeof found);
    EXPECT_EQ(std::string(found, size > 0 ? static_cast<size_t>(size) : 0), acl) << path;
    EXPECT_EQ(ModeOf(path), 0640u) << path;
  }
}

// A file that runs with its owner's rights would run with root's.
TEST_F(UsersTest, AnExportByRootGivesNobodyRootsRights) {
  MakePoolOfAlice(0755);
  ExpectAs(kAlice, [&] { ASSERT_EQ(chmod((directory_ + "/notes").c_str(), 06777), 0); });
  umask(022);
  morsel_pool_t* const pool = OpenPool(directory_, MORSEL_READ_ONLY);
  ASSERT_EQ(morsel_export(pool, "notes", scratch_.At("image").c_str()), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  EXPECT_EQ(StatusOf(scratch_.At("image")).st_uid, 0u);
  EXPECT_EQ(ModeOf(scratch_.At("image")), 0755u);
}

TEST_F(UsersTest, AnExportIsItsMakersAndKeepsToTheUmask) {
  MakePoolOfAlice(0755);
  ExpectAs(kBob, [&] {
    umask(027);
    morsel_pool_t* const pool = OpenPool(directory_, MORSEL_READ_ONLY);
    ASSERT_EQ(morsel_export(pool, "notes", scratch_.At("image").c_str()), MORSEL_OK);
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
  EXPECT_EQ(StatusOf(scratch_.At("image")).st_uid, kBob.user);
  EXPECT_EQ(ModeOf(scratch_.At("image")) & 027u, 0u);
  // What she may not read she cannot take in.
  ExpectAs(kAlice, [&] {
    ASSERT_EQ(chmod(directory_.c_str(), 0700), 0);
    morsel_pool_t* const pool = OpenPool(directory_);
    ExpectFailure(morsel_import(pool, scratch_.At("image").c_str(), "copy"), MORSEL_PERMISSION,
                  {"image", "owner and mode"});
    EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
  });
}

// Key stores and real-time programs lock all memory that they will ever have.
TEST_F(UsersTest, LockedMemoryIsTakenOnce) {
  constexpr size_t kBytes = 64 << 20;
  Make(directory_, 0, {"small"});
  morsel_pool_t* const made = OpenPool(directory_);
  morsel_options options = {};
  options.flags = MORSEL_CREATE;
  options.mode = 0644;
  morsel_t* large = nullptr;
  ASSERT_EQ(morsel_open(made, "large", &options, &large), MORSEL_OK) << morsel_last_error();
  std::memset(morsel_malloc(large, kBytes), 1, kBytes);
  ASSERT_EQ(morsel_close(large), MORSEL_OK) << morsel_last_error();
  ASSERT_EQ(morsel_pool_close(made), MORSEL_OK);
  const auto peak_bytes = [] {
    struct rusage usage = {};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<size_t>(usage.ru_maxrss) << 10;
  };
  InChild([&] {
    ASSERT_EQ(mlockall(MCL_CURRENT | MCL_FUTURE), 0) << "run the test as root";
    const size_t before = peak_bytes();
    morsel_t* const again = Open(OpenPool(directory_, MORSEL_READ_ONLY), "large", MORSEL_READ_ONLY);
    EXPECT_NE(again, nullptr);
    EXPECT_LT(peak_bytes() - before, kBytes * 3 / 2);
  });
  ExpectAs(kBob, [&] {
    const struct rlimit usual = {8 << 20, 8 << 20};
    ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &usual), 0);
    ASSERT_EQ(mlockall(MCL_FUTURE), 0);
    morsel_pool_t* const pool = OpenPool(directory_, MORSEL_READ_ONLY);
    ExpectFailure(Try(pool, "large", MORSEL_READ_ONLY), MORSEL_NO_MEMORY, {"'large'", "ulimit -l"});
  });
}

}  // namespace
}  // namespace morsel::trouble
