// Reads files of our own in place of the kernel's, since tests have no device.
#include "pmem/media/dax_device.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/units.h"
#include "sim/model/crash_testing.h"

namespace morsel::pmem {
namespace {

class DaxDeviceTest : public testing::Test {
 protected:
  // The device's number is 1:3, which is that of /dev/null.
  void Says(const std::string& size, const std::string& align) const {
    std::filesystem::create_directories(folder_ + "/1:3");
    std::ofstream(folder_ + "/1:3/size") << size;
    std::ofstream(folder_ + "/1:3/align") << align;
  }
  Result<DaxDevice> Read() const { return DaxDeviceOf(*device_, folder_); }

  std::string folder_ = testing::TempDir() + "char";
  Result<os::File> device_ =
      os::File::Open(os::KernelCalls(), AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
};

TEST_F(DaxDeviceTest, SizeIsRoundedDownToTheAlignment) {
  Says("3222274048\n", "1073741824\n");
  const Result<DaxDevice> device = Read();
  ASSERT_TRUE(device) << LastError();
  EXPECT_EQ(device->align_bytes, kGiantBytes);
  EXPECT_EQ(device->size_bytes, 3 * kGiantBytes);
}

TEST_F(DaxDeviceTest, UnusableAlignmentIsUnsupported) {
  for (const char* const align : {"0\n", "2048\n", "2097153\n", "2147483648\n", "much\n"}) {
    Says("4294967296\n", align);
    EXPECT_EQ(Read().error(), Code::kUnsupported) << align;
  }
}

TEST_F(DaxDeviceTest, OtherDevicesAreNotFound) {
  EXPECT_EQ(DaxDeviceOf(*device_).error(), Code::kNotFound);
}

TEST(StoreZerosTest, ZerosAreDurable) {
  CrashMedium medium(2 * kPageBytes);
  std::memset(medium.memory(), 0x5a, medium.size_bytes());
  medium.Settle();
  StoreZeros(medium.memory(), kPageBytes, medium.persist());
  const auto after = medium.AfterPowerCut();
  for (size_t i = 0; i < medium.size_bytes(); ++i) {
    ASSERT_EQ(after->memory()[i], i < kPageBytes ? 0 : 0x5a) << i;
  }
}

}  // namespace
}  // namespace morsel::pmem
