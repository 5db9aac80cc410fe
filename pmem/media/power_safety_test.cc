// Reads a tree of our own in place of /sys. The machine of ./dev vm has real devices.
#include "pmem/media/power_safety.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace morsel::pmem {
namespace {

PowerSafety WithDomain(const std::string& domain) {
  const std::string region = testing::TempDir() + "ndbus0/region7";
  std::filesystem::create_directories(region);
  std::ofstream(region + "/persistence_domain") << domain << "\n";
  return PowerSafetyBelow(region + "/dax7.0/dax7.0");
}

TEST(PowerSafetyTest, BelievesThePlatformThatNamesItsDomain) {
  EXPECT_TRUE(WithDomain("memory_controller").survives);
  EXPECT_TRUE(WithDomain("cpu_cache").survives);
  EXPECT_TRUE(WithDomain("cpu_cache").keeps_caches);
  EXPECT_FALSE(WithDomain("memory_controller").keeps_caches);
  EXPECT_STREQ(WithDomain("cpu_cache").words,
               "the platform keeps processor caches and memory (eADR)");
}

TEST(PowerSafetyTest, UnknownDomainIsNotSafe) {
  EXPECT_FALSE(WithDomain("unknown").survives);
  EXPECT_FALSE(WithDomain("").survives);
  EXPECT_FALSE(PowerSafetyBelow("/sys/devices/platform/new/region3/dax3.0").survives);
  EXPECT_FALSE(PowerSafetyBelow("/sys/devices/pci0000:00/nvme0n1").survives);
  EXPECT_FALSE(PowerSafetyOf("/nowhere").survives);
}

TEST(PowerSafetyTest, NamesMemoryThatOnlyLooksPersistent) {
  const PowerSafety memmap =
      PowerSafetyBelow("/sys/devices/platform/e820_pmem/ndbus1/region2/dax2.0");
  EXPECT_FALSE(memmap.survives);
  EXPECT_NE(std::string(memmap.words).find("memmap="), std::string::npos);
  EXPECT_FALSE(PowerSafetyBelow("/sys/devices/pci0/virtio2/ndbus2/region3/dax3.0").survives);
  EXPECT_FALSE(PowerSafetyBelow("/sys/devices/platform/hmem.0/dax0.0").survives);
}

}  // namespace
}  // namespace morsel::pmem
