#include "pmem/frames.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cstring>

#include "base/error.h"
#include "base/units.h"

namespace morsel::pmem {
namespace {

// Where nothing else of a test is, under every sanitizer: the kernel chooses.
AddressRange Reserve(uint64_t size_bytes) {
  void* const free_place =
      mmap(nullptr, size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  munmap(free_place, size_bytes);
  Result<AddressRange> range =
      AddressRange::Reserve(reinterpret_cast<uint64_t>(free_place), size_bytes, "a test's range");
  EXPECT_TRUE(range.has_value()) << LastError();
  return std::move(range).value();
}

TEST(Frames, AreZeroAndWritableAndZeroAgainAfterTheyWereWithdrawn) {
  AddressRange range = Reserve(4 * kSubtreeBytes);
  ASSERT_TRUE(PlaceFrames(range, 0, kSubtreeBytes).ok());
  ASSERT_TRUE(PlaceFrames(range, kSubtreeBytes, 2 * kSubtreeBytes).ok());
  for (uint64_t at = 0; at < 3 * kSubtreeBytes; at += kPageBytes) {
    ASSERT_EQ(*range.at(at), 0);
    *range.at(at) = 1;
  }
  ASSERT_TRUE(range.Withdraw(kSubtreeBytes, 2 * kSubtreeBytes).ok());
  ASSERT_TRUE(PlaceFrames(range, kSubtreeBytes, kSubtreeBytes).ok());
  EXPECT_EQ(*range.at(0), 1);
  EXPECT_EQ(*range.at(kSubtreeBytes), 0);
}

TEST(Frames, OfNoBytesAreNothing) {
  AddressRange range = Reserve(kSubtreeBytes);
  EXPECT_TRUE(PlaceFrames(range, 0, 0).ok());
  EXPECT_TRUE(ProtectFrames(range, 0, 0).ok());
}

TEST(FramesDeathTest, AreReadOnlyOnceProtected) {
  AddressRange range = Reserve(kSubtreeBytes);
  ASSERT_TRUE(PlaceFrames(range, 0, kSubtreeBytes).ok());
  ASSERT_TRUE(ProtectFrames(range, 0, kSubtreeBytes).ok());
  EXPECT_EQ(*range.at(5), 0);
  // A forked child would have nothing there at all, which is not what is asked.
  EXPECT_NE(madvise(range.at(0), kSubtreeBytes, MADV_DOFORK), -1);
  EXPECT_DEATH(*static_cast<volatile char*>(range.at(5)) = 1, "");
}

TEST(Frames, ThatTheProcessMayNotHaveAreNoMemory) {
  AddressRange range = Reserve(kSubtreeBytes);
  (void)LastError();  // a sanitizer takes memory when a thread's sentence is first asked for
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  rlimit nothing_more = before;
  nothing_more.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_AS, &nothing_more), 0);
  const Status status = PlaceFrames(range, 0, kSubtreeBytes);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(status.code(), Code::kNoMemory);
  EXPECT_NE(std::strstr(LastError(), "ulimit"), nullptr) << LastError();
  EXPECT_TRUE(PlaceFrames(range, 0, kSubtreeBytes).ok());
}

TEST(ProcessPage, LiesBesideTheFrames) {
  AddressRange range = Reserve(2 * kSubtreeBytes);
  ASSERT_TRUE(PlaceFrames(range, 0, kSubtreeBytes).ok());
  ASSERT_TRUE(PlaceProcessPage(range, kSubtreeBytes).ok());
  EXPECT_EQ(*range.at(kSubtreeBytes), 0);
  std::memset(range.at(kSubtreeBytes), 1, kPageBytes);
}

}  // namespace
}  // namespace morsel::pmem
