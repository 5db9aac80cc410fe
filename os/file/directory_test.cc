#include "os/file/directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "os/testing/scratch_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::os {
namespace {

namespace fs = std::filesystem;

constexpr auto kDecideWhatACrashLeaves = {Call::kWrite, Call::kSync, Call::kRename, Call::kLink,
                                          Call::kUnlink};

class DirectoryTest : public testing::Test {
 protected:
  Status Make(SystemCalls& calls, const std::string& name, Naming naming = Naming::kNew) {
    const Result<Directory> directory = Directory::Open(calls, path_);
    const Result<TemporaryFile> temporary = directory->MakeTemporary(name, 0600);
    if (!temporary) return temporary.status();
    MORSEL_TRY(temporary->file.WriteAll("whole", 5, 0));
    const Status made = directory->Publish(temporary->file, temporary->name, name, naming);
    if (!made.ok()) directory->Abandon(temporary->name);
    return made;
  }

  Scratch scratch_ = Scratch::OnDisk();
  std::string path_ = scratch_.path();
  std::string sync_directory_ = "sync directory " + fs::path(path_).filename().string();
};

using Seen = std::vector<std::string>;

TEST_F(DirectoryTest, PublishSyncsTheFileThenRenamesThenSyncsTheDirectory) {
  ScriptedCalls calls;
  calls.Log(kDecideWhatACrashLeaves);
  ASSERT_TRUE(Make(calls, "a").ok()) << LastError();
  EXPECT_EQ(calls.log(), (Seen{"write", "sync file", "rename", sync_directory_}));
}

TEST_F(DirectoryTest, PublishInPlaceOfAnotherSyncsInTheSameOrder) {
  ScriptedCalls calls;
  ASSERT_TRUE(Make(calls, "a").ok()) << LastError();
  calls.Log(kDecideWhatACrashLeaves);
  ASSERT_TRUE(Make(calls, "a", Naming::kReplace).ok()) << LastError();
  EXPECT_EQ(calls.log(), (Seen{"write", "sync file", "rename", sync_directory_}));
}

// What has taken a name is not removed: the other is gone.
TEST_F(DirectoryTest, AFailedSyncAfterReplacingLeavesTheNewFile) {
  ScriptedCalls calls;
  ASSERT_TRUE(Make(calls, "a").ok()) << LastError();
  int syncs = 0;
  calls.Play([&](const Call& now) { return now.kind == Call::kSync && ++syncs == 2 ? ENOSPC : 0; });
  EXPECT_EQ(Make(calls, "a", Naming::kReplace).code(), Code::kIo);
  EXPECT_TRUE(fs::exists(path_ + "/a"));
  calls.Play(FailEach(Call::kRename, EACCES));
  EXPECT_EQ(Make(calls, "a", Naming::kReplace).code(), Code::kPermission);
  EXPECT_TRUE(fs::exists(path_ + "/a"));
}

TEST_F(DirectoryTest, PublishLinksWhereRenameCannotRefuseToReplace) {
  ScriptedCalls calls(FailEach(Call::kRename, EINVAL));  // as on NFS
  calls.Log(kDecideWhatACrashLeaves);
  ASSERT_TRUE(Make(calls, "a").ok()) << LastError();
  EXPECT_EQ(calls.log(), (Seen{"write", "sync file", "link", "unlink", sync_directory_}));
  EXPECT_EQ(Make(calls, "a").code(), Code::kExists);
  EXPECT_TRUE(fs::exists(path_ + "/a"));
}

TEST_F(DirectoryTest, RemoveSyncsTheDirectory) {
  ScriptedCalls calls;
  ASSERT_TRUE(Make(calls, "a").ok());
  calls.Log(kDecideWhatACrashLeaves);
  const Result<Directory> directory = Directory::Open(calls, path_);
  ASSERT_TRUE(directory->Remove("a").ok()) << LastError();
  EXPECT_EQ(calls.log(), (Seen{"unlink", sync_directory_}));
  EXPECT_EQ(directory->Remove("a").code(), Code::kNotFound);
}

TEST_F(DirectoryTest, MoveReplacesNothingAndSyncsTheDirectory) {
  ScriptedCalls calls;
  ASSERT_TRUE(Make(calls, "a").ok() && Make(calls, "b").ok());
  const Result<Directory> directory = Directory::Open(calls, path_);
  EXPECT_EQ(directory->Move("a", "b").code(), Code::kExists);
  EXPECT_EQ(directory->Move("none", "c").code(), Code::kNotFound);
  calls.Log(kDecideWhatACrashLeaves);
  ASSERT_TRUE(directory->Move("a", "c").ok()) << LastError();
  EXPECT_EQ(calls.log(), (Seen{"rename", sync_directory_}));
  EXPECT_EQ(*directory->Names(), (Seen{".", "..", "b", "c"}));
}

// Where rename cannot refuse to replace, as on NFS.
TEST_F(DirectoryTest, MoveNeverLeavesAFileWithoutAName) {
  ScriptedCalls calls(FailEach(Call::kRename, EINVAL));
  ASSERT_TRUE(Make(calls, "a").ok() && Make(calls, "b").ok());
  const Result<Directory> directory = Directory::Open(calls, path_);
  EXPECT_EQ(directory->Move("a", "b").code(), Code::kExists);
  EXPECT_EQ(directory->Move("none", "c").code(), Code::kNotFound);
  calls.Log(kDecideWhatACrashLeaves);
  ASSERT_TRUE(directory->Move("a", "c").ok()) << LastError();
  EXPECT_EQ(calls.log(), (Seen{"link", sync_directory_, "unlink", sync_directory_}));
  EXPECT_EQ(*directory->Names(), (Seen{".", "..", "b", "c"}));
}

TEST_F(DirectoryTest, TemporaryHasItsFinalPathAndIsRemovedIfACrashLeftIt) {
  const Result<Directory> directory = Directory::Open(KernelCalls(), path_);
  {
    const Result<TemporaryFile> temporary = directory->MakeTemporary("a", 0600);
    ASSERT_TRUE(temporary.has_value()) << LastError();
    EXPECT_EQ(temporary->file.path(), path_ + "/a");
    EXPECT_EQ(temporary->name.rfind(kTemporaryPrefix, 0), 0u);
  }
  std::ofstream(path_ + "/other") << "x";
  ASSERT_TRUE(directory->RemoveTemporaries().ok());
  EXPECT_EQ(*directory->Names(), (Seen{".", "..", "other"}));
}

TEST_F(DirectoryTest, RemoveTemporariesKeepsAFileThatIsBeingMade) {
  const Result<Directory> maker = Directory::Open(KernelCalls(), path_);
  const Result<Directory> cleaner = Directory::Open(KernelCalls(), path_);
  const Result<TemporaryFile> temporary = maker->MakeTemporary("a", 0600);
  ASSERT_TRUE(temporary.has_value()) << LastError();
  ASSERT_TRUE(cleaner->RemoveTemporaries().ok());
  ASSERT_TRUE(maker->Publish(temporary->file, temporary->name, "a").ok()) << LastError();
  EXPECT_EQ(*maker->Names(), (Seen{".", "..", "a"}));
}

// Another process lists the directory just when the file has a name and no lock yet.
TEST_F(DirectoryTest, AFileThatIsTakenForDebrisBeforeItIsLockedIsMadeAnew) {
  ScriptedCalls calls;
  const Result<Directory> cleaner = Directory::Open(KernelCalls(), path_);
  const Result<Directory> maker = Directory::Open(calls, path_);
  int made = 0;
  calls.AfterEach([&](const Call& call) {
    if (call.kind != Call::kOpen || (call.flags & O_CREAT) == 0) return;
    if (++made > 2) return;
    ASSERT_TRUE(cleaner->RemoveTemporaries().ok());
  });
  const Result<TemporaryFile> temporary = maker->MakeTemporary("a", 0600);
  ASSERT_TRUE(temporary.has_value()) << LastError();
  EXPECT_EQ(made, 3);
  ASSERT_TRUE(maker->Publish(temporary->file, temporary->name, "a").ok()) << LastError();
  EXPECT_EQ(*maker->Names(), (Seen{".", "..", "a"}));
}

TEST_F(DirectoryTest, AFileThatIsAlwaysTakenForDebrisIsNotMadeForEver) {
  ScriptedCalls calls;
  const Result<Directory> cleaner = Directory::Open(KernelCalls(), path_);
  const Result<Directory> maker = Directory::Open(calls, path_);
  calls.AfterEach([&](const Call& call) {
    if (call.kind == Call::kOpen && (call.flags & O_CREAT) != 0) {
      ASSERT_TRUE(cleaner->RemoveTemporaries().ok());
    }
  });
  EXPECT_EQ(maker->MakeTemporary("a", 0600).error(), Code::kBusy);
  EXPECT_EQ(*cleaner->Names(), (Seen{".", ".."}));
}

// The script's answer stands in for the kernel's to a user who may not read the file.
TEST_F(DirectoryTest, RemoveTemporariesKeepsWhatItMayNotOpen) {
  const Result<Directory> maker = Directory::Open(KernelCalls(), path_);
  const Result<TemporaryFile> temporary = maker->MakeTemporary("a", 0600);
  ASSERT_TRUE(temporary.has_value()) << LastError();
  ScriptedCalls calls;
  const Result<Directory> cleaner = Directory::Open(calls, path_);
  calls.Play(FailEach(Call::kOpen, EACCES));
  ASSERT_TRUE(cleaner->RemoveTemporaries().ok());
  ASSERT_TRUE(maker->Publish(temporary->file, temporary->name, "a").ok()) << LastError();
}

TEST_F(DirectoryTest, NoFileGetsBitsByWhichItRunsAsItsOwner) {
  const Result<Directory> directory = Directory::Open(KernelCalls(), path_);
  const Result<TemporaryFile> temporary = directory->MakeTemporary("a", 07755);
  ASSERT_TRUE(temporary.has_value()) << LastError();
  struct stat status;
  ASSERT_EQ(fstat(temporary->file.descriptor(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0755u);
}

TEST_F(DirectoryTest, SplitsAPathIntoDirectoryAndName) {
  const auto split = [](const char* path) {
    const Result<SplitPath> parts = SplitAtName(path);
    return parts ? parts->directory + " " + parts->name : std::string(CodeName(parts.error()));
  };
  EXPECT_EQ(split("a"), ". a");
  EXPECT_EQ(split("/a"), "/ a");
  EXPECT_EQ(split("b//c/a"), "b//c a");
  for (const char* const wrong : {"", "/", "a/", ".", "a/..", "a/."}) {
    EXPECT_EQ(split(wrong), "MORSEL_INVALID_ARGUMENT") << wrong;
  }
}

TEST_F(DirectoryTest, OpensRegularFilesOnly) {
  const Result<Directory> directory = Directory::Open(KernelCalls(), path_);
  ASSERT_EQ(mkfifo((path_ + "/pipe").c_str(), 0600), 0);
  fs::create_symlink("nowhere", path_ + "/link");
  fs::create_directory(path_ + "/directory");
  for (const auto& [name, due] : {std::pair{"pipe", Code::kInvalidArgument},
                                  {"link", Code::kUnsupported},
                                  {"directory", Code::kInvalidArgument}}) {
    EXPECT_EQ(directory->OpenFile(name, O_RDONLY).error(), due) << name;
    EXPECT_EQ(directory->OpenFile(name, O_RDWR).error(), due) << name;
  }
  EXPECT_EQ(directory->OpenFile("nothing", O_RDONLY).error(), Code::kNotFound);
}

}  // namespace
}  // namespace morsel::os
