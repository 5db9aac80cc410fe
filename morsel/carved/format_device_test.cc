// What formatting looks for. Formatting a real device is tested where there is one: ./dev vm.
#include "morsel/carved/format_device.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "morsel/carved/carved_pool_superblock.h"

namespace morsel {
namespace {

constexpr Window kWindow = {kGiantBytes, 1024 * kGiantBytes};

std::string SignatureWith(size_t offset, const std::string& bytes) {
  std::vector<char> device(128 * kKiB);
  std::memcpy(device.data() + offset, bytes.data(), bytes.size());
  return SignatureIn(device.data(), device.size());
}

TEST(FormatDeviceTest, KnowsTheSignaturesOfOthers) {
  EXPECT_EQ(SignatureWith(0, ""), "");
  EXPECT_EQ(SignatureWith(0, "XFSB"), "an XFS file system");
  EXPECT_EQ(SignatureWith(1080, "\x53\xef"), "an ext2, ext3 or ext4 file system");
  EXPECT_EQ(SignatureWith(65600, "_BHRfS_M"), "a btrfs file system");
  EXPECT_EQ(SignatureWith(0, "PMEMOBJ"), "a libpmemobj pool");
  EXPECT_EQ(SignatureWith(512, "EFI PART"), "a partition table");
}

TEST(FormatDeviceTest, KnowsAPoolByEitherSuperblock) {
  EXPECT_EQ(SignatureWith(0, "MRSLPOL1"), "a morsel pool");
  EXPECT_EQ(SignatureWith(kSuperblockBytes, "MRSLPOL1"), "a morsel pool");
}

TEST(FormatDeviceTest, ReadsNothingBeyondTheEnd) {
  std::vector<char> device(1081);
  device[1080] = '\x53';
  EXPECT_EQ(SignatureIn(device.data(), device.size()), "");
}

TEST(FormatDeviceTest, RefusesAnythingButADevice) {
  for (const char* const path : {"/tmp", "/proc/self/exe"}) {
    const Status status = FormatDevice(path, DeviceData::kIsDestroyed, os::KernelCalls());
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_NE(std::strstr(LastError(), "morselctl create"), nullptr) << LastError();
  }
  EXPECT_EQ(FormatDevice("/dev/null", DeviceData::kIsDestroyed, os::KernelCalls()).code(),
            Code::kInvalidArgument);
}

TEST(FormatDeviceTest, WithUnitsOfOneGibibyteTheFirstUnitIsForTheMetadata) {
  const auto plan = PlanSuperblock(3 * kGiantBytes, kWindow, Id{}, "device", kGiantBytes);
  ASSERT_TRUE(plan) << LastError();
  EXPECT_EQ((*plan)->unit_bytes, kGiantBytes);
  EXPECT_EQ((*plan)->data_offset, kGiantBytes);
  EXPECT_EQ((*plan)->subtree_count, 2 * kSubtreesPerGiant);
  EXPECT_EQ(PlanSuperblock(kGiantBytes, kWindow, Id{}, "device", kGiantBytes).error(),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace morsel
