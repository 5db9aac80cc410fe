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

namespace morsel::os {
namespace {

namespace fs = std::filesystem;

// Records the calls that decide what a crash leaves.
class WitnessCalls : public SystemCalls {
 public:
  std::vector<std::string> seen;
  bool renames = true;

  ssize_t PWrite(int file, const void* bytes, size_t size_bytes, int64_t offset) override {
    seen.push_back("write");
    return SystemCalls::PWrite(file, bytes, size_bytes, offset);
  }
  int FSync(int file) override {
    struct stat status;
    EXPECT_EQ(fstat(file, &status), 0);
    seen.push_back(S_ISDIR(status.st_mode) ? "sync directory" : "sync file");
    return SystemCalls::FSync(file);
  }
  int RenameAt2(int directory, const char* from, const char* to, unsigned flags) override {
    if (!renames) {
      errno = EINVAL;  // as on NFS
      return -1;
    }
    seen.push_back("rename");
    return SystemCalls::RenameAt2(directory, from, to, flags);
  }
  int LinkAt(int directory, const char* from, const char* to) override {
    seen.push_back("link");
    return SystemCalls::LinkAt(directory, from, to);
  }
  int UnlinkAt(int directory, const char* name, int flags) override {
    seen.push_back("unlink");
    return SystemCalls::UnlinkAt(directory, name, flags);
  }
};

class DirectoryTest : public testing::Test {
 protected:
  Status Make(SystemCalls& calls, const std::string& name) {
    const Result<Directory> directory = Directory::Open(calls, path_);
    const Result<TemporaryFile> temporary = directory->MakeTemporary(name, 0600);
    if (!temporary) return temporary.status();
    MORSEL_TRY(temporary->file.WriteAll("whole", 5, 0));
    return directory->Publish(temporary->file, temporary->name, name);
  }

  Scratch scratch_ = Scratch::OnDisk();
  std::string path_ = scratch_.path();
};

using Seen = std::vector<std::string>;

TEST_F(DirectoryTest, PublishSyncsTheFileThenRenamesThenSyncsTheDirectory) {
  WitnessCalls calls;
  ASSERT_TRUE(Make(calls, "a").ok()) << LastError();
  EXPECT_EQ(calls.seen, (Seen{"write", "sync file", "rename", "sync directory"}));
}

TEST_F(DirectoryTest, PublishLinksWhereRenameCannotRefuseToReplace) {
  WitnessCalls calls;
  calls.renames = false;
  ASSERT_TRUE(Make(calls, "a").ok()) << LastError();
  EXPECT_EQ(calls.seen, (Seen{"write", "sync file", "link", "unlink", "sync directory"}));
  EXPECT_EQ(Make(calls, "a").code(), Code::kExists);
  EXPECT_TRUE(fs::exists(path_ + "/a"));
}

TEST_F(DirectoryTest, RemoveSyncsTheDirectory) {
  WitnessCalls calls;
  ASSERT_TRUE(Make(calls, "a").ok());
  calls.seen.clear();
  const Result<Directory> directory = Directory::Open(calls, path_);
  ASSERT_TRUE(directory->Remove("a").ok()) << LastError();
  EXPECT_EQ(calls.seen, (Seen{"unlink", "sync directory"}));
  EXPECT_EQ(directory->Remove("a").code(), Code::kNotFound);
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
  for (const char* const name : {"pipe", "link", "directory"}) {
    EXPECT_EQ(directory->OpenFile(name, O_RDONLY).error(), Code::kInvalidArgument) << name;
    EXPECT_EQ(directory->OpenFile(name, O_RDWR).error(), Code::kInvalidArgument) << name;
  }
  EXPECT_EQ(directory->OpenFile("nothing", O_RDONLY).error(), Code::kNotFound);
}

}  // namespace
}  // namespace morsel::os
