#include "pmem/persist/pmem2_persist.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "os/testing/scratch_testing.h"

namespace morsel::pmem {
namespace {

class Pmem2PersistTest : public testing::Test {
 protected:
  Pmem2PersistTest() {
    auto file =
        os::File::Open(os::KernelCalls(), AT_FDCWD, path_, O_RDWR | O_CREAT | O_EXCL, 0600, path_);
    EXPECT_TRUE(file.has_value()) << LastError();
    if (file.has_value()) file_ = std::move(*file);
    EXPECT_TRUE(file_.Resize(4 * kSubtreeBytes).ok());
  }

  Result<Pmem2Mapping> MapWith(const char* granularity, bool read_only = false) {
    granularity == nullptr ? unsetenv("PMEM2_FORCE_GRANULARITY")
                           : setenv("PMEM2_FORCE_GRANULARITY", granularity, 1);
    return Pmem2Mapping::Map(file_, kSubtreeBytes, read_only);
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string path_ = scratch_.At("file");
  os::File file_;
};

TEST_F(Pmem2PersistTest, PageGranularityIsUnsupported) {
  for (const char* granularity : {"PAGE", static_cast<const char*>(nullptr)}) {
    const auto mapping = MapWith(granularity);
    EXPECT_EQ(mapping.error(), Code::kUnsupported);
    for (const char* part : {path_.c_str(), "not on persistent memory", "CACHE_LINE"}) {
      EXPECT_NE(std::string(LastError()).find(part), std::string::npos) << LastError();
    }
  }
}

TEST_F(Pmem2PersistTest, StoresThroughAnyMappingReachTheFile) {
  for (const char* granularity : {"CACHE_LINE", "BYTE"}) {
    const auto mapping = MapWith(granularity);
    ASSERT_TRUE(mapping.has_value()) << LastError();
    EXPECT_EQ(mapping->granularity_bytes(),
              std::strcmp(granularity, "BYTE") == 0 ? 1u : kLineBytes);
    EXPECT_EQ(mapping->size_bytes(), kSubtreeBytes);
    auto* const word = reinterpret_cast<uint64_t*>(mapping->memory());
    mapping->persist().Publish(word, 42);
    const auto part = MapPart(file_, kSubtreeBytes, kSubtreeBytes, false);
    ASSERT_TRUE(part.has_value()) << LastError();
    Store(static_cast<uint64_t*>(*part), 43);
    mapping->persist().Range(*part, kLineBytes);
    uint64_t read[2] = {};
    EXPECT_TRUE(file_.ReadExactly(&read[0], 8, 0).ok());
    EXPECT_TRUE(file_.ReadExactly(&read[1], 8, kSubtreeBytes).ok());
    EXPECT_EQ(read[0], 42u);
    EXPECT_EQ(read[1], 43u);
    munmap(*part, kSubtreeBytes);
  }
}

// A child does not have the mapping, and the kernel puts others where it was.
TEST_F(Pmem2PersistTest, AForkedChildMapsFilesWhereItsParentHasSome) {
  auto mapping = MapWith("CACHE_LINE");
  ASSERT_TRUE(mapping.has_value()) << LastError();
  Pmem2BeforeFork();
  const pid_t child = fork();
  Pmem2AfterFork(child == 0);
  if (child == 0) {
    constexpr int kWrong = 1;
    constexpr int kNeverThere = 2;
    std::vector<Pmem2Mapping> mappings;
    char* const there = mapping->memory();
    for (int i = 0; i < 64; ++i) {
      auto own = MapWith("CACHE_LINE");
      if (!own.has_value()) {
        std::fprintf(stderr, "%s\n", LastError());
        _exit(kWrong);
      }
      mappings.push_back(std::move(*own));
      if (mappings.back().memory() != there) continue;
      { const Pmem2Mapping of_parent = std::move(*mapping); }
      *there = 1;  // a SIGSEGV if that has unmapped it
      _exit(0);
    }
    _exit(kNeverThere);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  *mapping->memory() = 1;
}

// With both granularities of libpmem2, and from and to bytes within a line.
TEST_F(Pmem2PersistTest, ZeroChangesTheRangeAndNothingBeside) {
  for (const char* granularity : {"CACHE_LINE", "BYTE"}) {
    const auto mapping = MapWith(granularity);
    ASSERT_TRUE(mapping.has_value()) << LastError();
    char* const memory = mapping->memory();
    for (const uint64_t begin : {uint64_t{0}, kPageBytes, uint64_t{13}}) {
      const uint64_t size_bytes = kSubtreeBytes - kPageBytes - begin;
      std::memset(memory, 0x5a, kSubtreeBytes);
      mapping->persist().Zero(memory + begin, size_bytes);
      mapping->persist().Fence();
      std::string read(kSubtreeBytes, '\0');
      ASSERT_TRUE(file_.ReadExactly(read.data(), read.size(), 0).ok());
      EXPECT_EQ(read, std::string(begin, '\x5a') + std::string(size_bytes, '\0') +
                          std::string(kPageBytes, '\x5a'));
    }
  }
}

TEST_F(Pmem2PersistTest, CopyChangesTheRangeAndNothingBeside) {
  std::string from(kSubtreeBytes, '\0');
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<char>(i % 251);
  for (const char* granularity : {"CACHE_LINE", "BYTE"}) {
    const auto mapping = MapWith(granularity);
    ASSERT_TRUE(mapping.has_value()) << LastError();
    char* const memory = mapping->memory();
    for (const uint64_t size_bytes :
         {uint64_t{0}, uint64_t{3}, uint64_t{200}, kSubtreeBytes - 100}) {
      std::memset(memory, 0x5a, kSubtreeBytes);
      mapping->persist().Copy(memory + 13, from.data() + 5, size_bytes);
      mapping->persist().Fence();
      std::string read(kSubtreeBytes, '\0');
      ASSERT_TRUE(file_.ReadExactly(read.data(), read.size(), 0).ok());
      EXPECT_EQ(read, std::string(13, '\x5a') + from.substr(5, size_bytes) +
                          std::string(kSubtreeBytes - 13 - size_bytes, '\x5a'));
    }
  }
}

TEST_F(Pmem2PersistTest, ReadOnlyMappingCannotBeWritten) {
  const auto mapping = MapWith("CACHE_LINE", true);
  ASSERT_TRUE(mapping.has_value()) << LastError();
  const int zeros = open("/dev/zero", O_RDONLY);
  EXPECT_EQ(read(zeros, mapping->memory(), 8), -1);  // the kernel cannot store there either
  close(zeros);
}

TEST_F(Pmem2PersistTest, MappingPastTheEndIsCorrupt) {
  setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
  const auto mapping = Pmem2Mapping::Map(file_, 8 * kSubtreeBytes, false);
  EXPECT_EQ(mapping.error(), Code::kCorrupt) << LastError();
}

}  // namespace
}  // namespace morsel::pmem
