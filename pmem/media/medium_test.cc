// Which medium a file is on, what the media say of themselves, and what they do with space.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/units.h"
#include "os/testing/scratch_testing.h"
#include "pmem/media/media.h"
#include "pmem/persist/pmem2_persist.h"

namespace morsel::pmem {
namespace {

os::File FileAt(const std::string& path, int flags = O_RDWR | O_CREAT) {
  auto file = os::File::Open(os::KernelCalls(), AT_FDCWD, path, flags, 0600, path);
  EXPECT_TRUE(file) << LastError();
  return std::move(*file);
}

// Whether `path` is on a tmpfs, by stat(1) and not by the library.
bool IsOnTmpfs(const std::string& path) {
  std::FILE* const answer = popen(("stat -f -c %T '" + path + "'").c_str(), "re");
  char type[32] = "";
  const bool told = answer != nullptr && std::fgets(type, sizeof type, answer) != nullptr;
  if (answer != nullptr) pclose(answer);
  EXPECT_TRUE(told);
  return std::strcmp(type, "tmpfs\n") == 0;
}

TEST(MediumTest, EachHasANameOfItsOwnAndWords) {
  std::set<std::string> names;
  for (const Medium* const medium : AllMedia()) {
    EXPECT_TRUE(names.insert(medium->name()).second) << medium->name();
    EXPECT_NE(medium->InWords("xfs", 2 * kMiB), "") << medium->name();
    EXPECT_NE(medium->SurvivalOf("/", "xfs").words, "") << medium->name();
  }
  EXPECT_EQ(names, (std::set<std::string>{"device-dax", "file", "fsdax", "memory", "ssd"}));
  EXPECT_EQ(kDeviceDax.InWords("none", 2 * kMiB), "device-dax, mapped in units of 2 MiB or less");
  EXPECT_EQ(kFsDax.InWords("xfs", 0), "fsdax (xfs)");
  EXPECT_EQ(kStandIn.InWords("ext4", 0), "a file that stands in for persistent memory (ext4)");
  EXPECT_EQ(kDeviceDax.FileSystem("/dev/shm"), "none");
  EXPECT_EQ(kMemory.FileSystem("/dev/shm"), "tmpfs");
}

TEST(MediumTest, OnlyADirectoryOnADiskSurvivesForSure) {
  for (const Medium* const medium : AllMedia()) {
    if (medium->is_persistent_memory()) continue;  // the platform says it: power_safety_test
    const Survival survival = medium->SurvivalOf("/dev/shm", "xfs");
    EXPECT_EQ(survival.is_known, medium == &kDisk) << medium->name();
  }
  EXPECT_EQ(kDisk.SurvivalOf("/", "xfs").words,
            "survives power-off, if xfs and the disk below keep what was synced");
  EXPECT_EQ(kMemory.SurvivalOf("/", "xfs").words, "outlives the process; all is lost at power-off");
}

TEST(MediumTest, AFileOnTmpfsIsMemory) {
  const os::Scratch memory = os::Scratch::InMemory();
  const os::File file = FileAt(memory.At("file"));
  EXPECT_EQ(&MediumOf(file, PoolPart::kCarvedPool), &kMemory);
  EXPECT_EQ(&MediumOf(file, PoolPart::kDirectory), &kMemory);
}

// Finds out what to expect by a mapping of its own.
TEST(MediumTest, AFileIsDaxWhereMapSyncWorks) {
  const os::Scratch scratch = os::Scratch::OnDisk();
  const os::File file = FileAt(scratch.At("file"));
  ASSERT_TRUE(file.Resize(kPageBytes).ok());
  void* const mapped =
      mmap(nullptr, kPageBytes, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, file.descriptor(), 0);
  const bool is_dax = mapped != MAP_FAILED;
  if (is_dax) munmap(mapped, kPageBytes);
  const bool is_memory = IsOnTmpfs(scratch.path());
  const Medium& carved = is_dax ? kFsDax : is_memory ? kMemory : kStandIn;
  const Medium& directory = is_dax ? kFsDax : is_memory ? kMemory : kDisk;
  EXPECT_EQ(&MediumOf(file, PoolPart::kCarvedPool), &carved);
  EXPECT_EQ(&MediumOf(file, PoolPart::kDirectory), &directory);
}

TEST(MediumTest, ACharacterDeviceIsNoFile) {
  const os::File null = FileAt("/dev/null", O_RDWR);
  EXPECT_EQ(&MediumOf(null, PoolPart::kCarvedPool), &kDeviceDax);
  EXPECT_EQ(kDeviceDax.SpaceOf(null).error(), Code::kNotFound) << "it is none of device-dax";
}

// On any file system: what a medium of files does with space does not depend on how it is mapped.
TEST(MediumTest, ZeroMakesSpaceOfZerosAndGiveBackMakesAHole) {
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  const os::Scratch scratch = os::Scratch::InMemory();
  for (const Medium* const medium : AllMedia()) {
    if (medium == &kDeviceDax) continue;  // it is not written by write(2)
    SCOPED_TRACE(medium->name());
    const os::File file = FileAt(scratch.At(medium->name()));
    const std::string old(4 * kPageBytes, 'x');
    ASSERT_TRUE(file.WriteAll(old.data(), old.size(), 0).ok());
    EXPECT_EQ(medium->SpaceOf(file)->size_bytes, old.size());
    EXPECT_TRUE(medium->TakeSpace(file, 0, old.size()).ok());
    ASSERT_TRUE(medium->Zero(file, kPageBytes, 2 * kPageBytes, VolatilePersist()).ok());
    ASSERT_TRUE(medium->SyncSpace(file).ok());
    EXPECT_FALSE(*medium->MayHaveHoles(file, old.size()));
    std::string bytes(old.size(), 0);
    ASSERT_TRUE(medium->ReadFirst(file, bytes.data(), bytes.size()).ok());
    EXPECT_EQ(bytes, std::string(kPageBytes, 'x') + std::string(2 * kPageBytes, 0) +
                         std::string(kPageBytes, 'x'));
    medium->GiveBack(file, 0, kPageBytes);
    EXPECT_TRUE(*medium->MayHaveHoles(file, old.size()));
  }
}

// As memory in place of a device, which has neither holes nor another's space to give back to.
TEST(MediumTest, ADeviceIsZeroedByStoresAndKeepsItsSpace) {
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  const os::Scratch scratch = os::Scratch::InMemory();
  const os::File file = FileAt(scratch.At("device"));
  const std::string old(4 * kPageBytes, 'x');
  ASSERT_TRUE(file.WriteAll(old.data(), old.size(), 0).ok());
  const auto mapping = Pmem2Mapping::Map(file, old.size(), false);
  ASSERT_TRUE(mapping) << LastError();
  ASSERT_TRUE(kDeviceDax.Zero(file, 0, kPageBytes, mapping->persist()).ok()) << LastError();
  kDeviceDax.GiveBack(file, kPageBytes, kPageBytes);
  EXPECT_FALSE(*kDeviceDax.MayHaveHoles(file, old.size()));
  EXPECT_TRUE(kDeviceDax.TakeSpace(file, 0, uint64_t{1} << 60).ok()) << "it has all of it already";
  std::string bytes(old.size(), 0);
  ASSERT_TRUE(file.ReadExactly(bytes.data(), bytes.size(), 0).ok());
  EXPECT_EQ(bytes, std::string(kPageBytes, 0) + std::string(3 * kPageBytes, 'x'));
  EXPECT_NE(kDeviceDax.HowToFormat("/dev/dax0.0").find("morselctl format /dev/dax0.0"),
            std::string::npos);
}

}  // namespace
}  // namespace morsel::pmem
