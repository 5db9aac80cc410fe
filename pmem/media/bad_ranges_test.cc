#include "pmem/media/bad_ranges.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/units.h"

namespace morsel::pmem {
namespace {

namespace fs = std::filesystem;
using Pairs = std::vector<std::pair<uint64_t, uint64_t>>;

Pairs PairsOf(const std::vector<ByteRange>& ranges) {
  Pairs pairs;
  for (const ByteRange& range : ranges) pairs.emplace_back(range.offset, range.size_bytes);
  return pairs;
}

TEST(BadRangesTest, DeviceRangesBecomeRangesOfTheFile) {
  const std::vector<DeviceExtent> extents = {{0, 10000, 1000}, {4000, 2000, 500}};
  EXPECT_EQ(PairsOf(BadOfFile(extents, {{0, 100}})), Pairs());
  EXPECT_EQ(PairsOf(BadOfFile(extents, {{10100, 50}})), (Pairs{{100, 50}}));
  EXPECT_EQ(PairsOf(BadOfFile(extents, {{1900, 200}, {2499, 9000}})),
            (Pairs{{0, 1000}, {4000, 100}, {4499, 1}}));
}

// A tree of our own in place of /sys, with a device-dax device in a region. The device's number is
// 1:3, which is that of /dev/null.
class BadRangesOfDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(sys_);
    fs::create_directories(sys_ + "/region0/dax0.0");
    fs::create_directories(sys_ + "/dev/char");
    fs::create_symlink(sys_ + "/region0/dax0.0", sys_ + "/dev/char/1:3");
    Says("region0/resource", "0x100000000");
    Says("region0/dax0.0/resource", "0x100200000");
  }
  void Says(const std::string& name, const std::string& text) {
    std::ofstream(sys_ + "/" + name) << text << "\n";
  }
  Result<std::vector<ByteRange>> Read() const { return BadRangesOf(*device_, sys_); }

  std::string sys_ = testing::TempDir() + "sys";
  Result<os::File> device_ =
      os::File::Open(os::KernelCalls(), AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
};

TEST_F(BadRangesOfDeviceTest, RangesOfTheRegionCountFromTheDevicesBeginning) {
  EXPECT_EQ(PairsOf(*Read()), Pairs());  // no list
  Says("region0/badblocks", "");
  EXPECT_EQ(PairsOf(*Read()), Pairs());
  Says("region0/badblocks", "8 8\n4094 4\n8192 1");
  EXPECT_EQ(PairsOf(*Read()), (Pairs{{0, 1024}, {0x200000, 512}}));
}

TEST_F(BadRangesOfDeviceTest, MalformedListIsAnError) {
  Says("region0/badblocks", "8 eight");
  EXPECT_EQ(Read().error(), Code::kIo);
  Says("region0/badblocks", "8 8");
  fs::remove(sys_ + "/region0/dax0.0/resource");
  EXPECT_EQ(Read().error(), Code::kIo);
}

TEST(UnreadableRangesTest, FindsPagesThatNothingIsBehind) {
  const int file = memfd_create("morsel", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(file, 2 * kSubtreeBytes), 0);
  void* const memory = mmap(nullptr, 2 * kSubtreeBytes, PROT_READ, MAP_SHARED, file, 0);
  ASSERT_NE(memory, MAP_FAILED);
  EXPECT_TRUE(UnreadableRanges(memory, 2 * kSubtreeBytes).empty());
  ASSERT_EQ(ftruncate(file, kSubtreeBytes + 5 * kPageBytes), 0);
  EXPECT_EQ(PairsOf(UnreadableRanges(memory, 2 * kSubtreeBytes)),
            (Pairs{{kSubtreeBytes + 5 * kPageBytes, kSubtreeBytes - 5 * kPageBytes}}));
  munmap(memory, 2 * kSubtreeBytes);
  close(file);
}

}  // namespace
}  // namespace morsel::pmem
