#include "pmem/media/dax_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/units.h"

namespace morsel::pmem {
namespace {

constexpr uint64_t kSubtrees = 4;

os::File Temporary() {
  Result<os::File> file =
      os::File::Open(os::KernelCalls(), AT_FDCWD, "/dev/shm", O_TMPFILE | O_RDWR, 0600, "a file");
  EXPECT_TRUE(file) << LastError();
  return std::move(*file);
}

TEST(DaxFileTest, FileInMemoryIsNotDax) {
  const os::File file = Temporary();
  ASSERT_TRUE(file.Resize(kPageBytes).ok());
  EXPECT_FALSE(IsDax(file));
  PreferHugeExtents(file);  // a hint that has no effect here
}

TEST(DaxFileTest, WriteZerosChangesTheRangeAndNothingBeside) {
  const os::File file = Temporary();
  const uint64_t size_bytes = 2 * kSubtreeBytes + 3 * kPageBytes;
  const std::vector<char> before(size_bytes, 'x');
  ASSERT_TRUE(file.WriteAll(before.data(), before.size(), 0).ok());
  ASSERT_TRUE(WriteZeros(file, kPageBytes, size_bytes - 2 * kPageBytes).ok()) << LastError();
  std::vector<char> after(size_bytes);
  ASSERT_TRUE(file.ReadExactly(after.data(), after.size(), 0).ok());
  std::vector<char> due(size_bytes, '\0');
  std::fill_n(due.begin(), kPageBytes, 'x');
  std::fill_n(due.end() - kPageBytes, kPageBytes, 'x');
  EXPECT_TRUE(after == due);
}

class CountMappedHugeTest : public testing::Test {
 protected:
  void SetUp() override {
    void* const mapped = mmap(nullptr, (kSubtrees + 1) * kSubtreeBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(mapped, MAP_FAILED);
    mapped_ = static_cast<char*>(mapped);
    const uint64_t begin = reinterpret_cast<uint64_t>(mapped_) + kSubtreeBytes - 1;
    memory_ = reinterpret_cast<char*>(begin / kSubtreeBytes * kSubtreeBytes);
    ASSERT_EQ(madvise(memory_, kSubtrees * kSubtreeBytes, MADV_NOHUGEPAGE), 0);
  }
  void TearDown() override { munmap(mapped_, (kSubtrees + 1) * kSubtreeBytes); }

  char* mapped_ = nullptr;
  char* memory_ = nullptr;
};

TEST_F(CountMappedHugeTest, SmallPagesAreNotHuge) {
  EXPECT_EQ(CountMappedHuge(memory_, kSubtrees), 0u);
}

TEST_F(CountMappedHugeTest, SubtreeThatNeedsNoSecondFaultIsHuge) {
  // Map the last page of two subtrees, as if the first fault had.
  memory_[kSubtreeBytes - 1] = 1;
  memory_[3 * kSubtreeBytes - 1] = 1;
  EXPECT_EQ(CountMappedHuge(memory_, kSubtrees), 2u);
}

TEST_F(CountMappedHugeTest, UnreadableMemoryIsNotHugeAndRaisesNoSignal) {
  memory_[kSubtreeBytes - 1] = 1;
  ASSERT_EQ(mprotect(memory_, kSubtrees * kSubtreeBytes, PROT_NONE), 0);
  EXPECT_EQ(CountMappedHuge(memory_, kSubtrees), 0u);
}

}  // namespace
}  // namespace morsel::pmem
