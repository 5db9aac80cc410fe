#include "pmem/media/path_kind.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>

#include "base/error.h"
#include "os/testing/scratch_testing.h"

namespace morsel::pmem {
namespace {

class PathKindTest : public testing::Test {
 protected:
  static bool Says(const char* words) { return std::strstr(LastError(), words) != nullptr; }
  os::Scratch scratch_ = os::Scratch::OnDisk();
  std::string path_ = scratch_.path();
};

TEST_F(PathKindTest, TellsDirectoriesFromFiles) {
  EXPECT_EQ(*KindOfPath(path_), PathKind::kDirectory);
  std::ofstream(path_ + "/file") << "x";
  EXPECT_EQ(*KindOfPath(path_ + "/file"), PathKind::kRegularFile);
}

TEST_F(PathKindTest, RefusalSaysWhatThePathIs) {
  EXPECT_EQ(KindOfPath(path_ + "/nothing").error(), Code::kNotFound);
  EXPECT_TRUE(Says("/nothing")) << LastError();
  EXPECT_EQ(KindOfPath("/dev/null").error(), Code::kInvalidArgument);
  EXPECT_TRUE(Says("a character device other than device-dax")) << LastError();
  ASSERT_EQ(mkfifo((path_ + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(KindOfPath(path_ + "/pipe").error(), Code::kInvalidArgument);
  EXPECT_TRUE(Says("is a pipe; a pool is")) << LastError();
}

}  // namespace
}  // namespace morsel::pmem
