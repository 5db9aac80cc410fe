#include "pmem/media/medium.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "os/testing/scratch_testing.h"
#include "os/testing/scripted_calls_testing.h"

namespace morsel::pmem {
namespace {

class MediumTest : public testing::Test {
 protected:
  // Returns `medium`, or kMemory if tests run on a tmpfs. It asks stat(1) and not the library.
  Medium UnlessMemory(Medium medium) const {
    std::FILE* const answer = popen(("stat -f -c %T '" + path_ + "'").c_str(), "re");
    char type[32] = "";
    const bool told = answer != nullptr && std::fgets(type, sizeof type, answer) != nullptr;
    if (answer != nullptr) pclose(answer);
    EXPECT_TRUE(told);
    return std::strcmp(type, "tmpfs\n") == 0 ? Medium::kMemory : medium;
  }
  static bool Says(const char* words) { return std::strstr(LastError(), words) != nullptr; }
  os::Scratch scratch_ = os::Scratch::OnDisk();
  std::string path_ = scratch_.path();
};

TEST_F(MediumTest, TellsDirectoriesFromFiles) {
  EXPECT_EQ(*KindOfPath(path_), PathKind::kDirectory);
  std::ofstream(path_ + "/file") << "x";
  EXPECT_EQ(*KindOfPath(path_ + "/file"), PathKind::kRegularFile);
  EXPECT_EQ(*MediumOf(os::KernelCalls(), path_ + "/file"), UnlessMemory(Medium::kRegularFile));
  EXPECT_STREQ(MediumName(Medium::kDeviceDax), "device-dax");
}

TEST_F(MediumTest, TmpfsIsMemory) {
  const os::Scratch memory = os::Scratch::InMemory();
  const std::string& name = memory.path();
  std::ofstream(name + "/file") << "x";
  EXPECT_EQ(*MediumOf(os::KernelCalls(), name), Medium::kMemory);
  EXPECT_EQ(*MediumOf(os::KernelCalls(), name, false), Medium::kMemory);
  EXPECT_EQ(*MediumOf(os::KernelCalls(), name + "/file"), Medium::kMemory);
  EXPECT_STREQ(MediumName(Medium::kMemory), "memory");
}

// Finds out what to expect by a file with a name, which the library does not use.
TEST_F(MediumTest, DirectoryIsDaxWhereMapSyncWorks) {
  const int file = open((path_ + "/probe").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(ftruncate(file, 4096), 0);
  void* const mapped = mmap(nullptr, 4096, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, file, 0);
  close(file);
  const Medium expected = mapped != MAP_FAILED ? Medium::kDaxDirectory : Medium::kDirectory;
  if (mapped != MAP_FAILED) munmap(mapped, 4096);
  EXPECT_EQ(*MediumOf(os::KernelCalls(), path_), UnlessMemory(expected));
  std::filesystem::remove(path_ + "/probe");
  EXPECT_TRUE(std::filesystem::is_empty(path_)) << "the probe leaves something";
}

// Without an unnamed file the library cannot find out whether a directory is DAX.
TEST_F(MediumTest, DirectoryThatTakesNoFileIsOrdinary) {
  os::ScriptedCalls calls(
      [](const os::Call& call) { return (call.flags & O_TMPFILE) == O_TMPFILE ? EROFS : 0; });
  EXPECT_EQ(*MediumOf(calls, path_), UnlessMemory(Medium::kDirectory));
}

TEST_F(MediumTest, RefusalSaysWhatThePathIs) {
  EXPECT_EQ(KindOfPath(path_ + "/nothing").error(), Code::kNotFound);
  EXPECT_TRUE(Says("/nothing")) << LastError();
  EXPECT_EQ(KindOfPath("/dev/null").error(), Code::kInvalidArgument);
  EXPECT_TRUE(Says("a character device other than device-dax")) << LastError();
  ASSERT_EQ(mkfifo((path_ + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(KindOfPath(path_ + "/pipe").error(), Code::kInvalidArgument);
  EXPECT_TRUE(Says("is a pipe; a pool is")) << LastError();
  EXPECT_EQ(MediumOf(os::KernelCalls(), path_ + "/pipe").error(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace morsel::pmem
