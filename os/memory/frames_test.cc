#include "os/memory/frames.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cstring>
#include <fstream>
#include <optional>

#include "base/bits.h"
#include "base/error.h"
#include "base/units.h"
#include "os/testing/frames_testing.h"

namespace morsel::pmem {
namespace {

// Each kind, forced, in a host that has it.
class FramesTest : public testing::TestWithParam<FrameKind> {
 protected:
  static void SetUpTestSuite() {
    huge_pages.emplace();
    huge_pages->ProvideEach(4 * kSubtreeBytes);
  }
  static void TearDownTestSuite() { huge_pages.reset(); }
  void SetUp() override { range_ = ReserveAnywhere(full()); }
  // A host has few pages of 1 GiB: one of them is all there is.
  uint64_t full() const {
    return GetParam() == FrameKind::kHugetlb1G ? kGiantBytes : 4 * kSubtreeBytes;
  }
  // What a change of size may leave, so that nothing of a frame is kept.
  uint64_t less() const { return full() > kGiantBytes / 2 ? 0 : full() / 2; }
  Frames Make(bool read_only = false) {
    const Setting setting("MORSEL_FRAMES", FrameKindName(GetParam()));
    Result<Frames> frames = Frames::Open(read_only);
    EXPECT_TRUE(frames.has_value()) << LastError();
    return std::move(*frames);
  }

  static inline std::optional<HugePages> huge_pages;
  AddressRange range_;
};
INSTANTIATE_TEST_SUITE_P(EachKind, FramesTest, testing::ValuesIn(kEachFrameKind),
                         [](const auto& info) { return TestNameOf(info.param); });

TEST_P(FramesTest, AreZeroAndWritableAndZeroAgainAfterTheyWereCutOff) {
  Frames frames = Make();
  ASSERT_TRUE(frames.Resize(range_, less()).ok()) << LastError();
  ASSERT_TRUE(frames.Resize(range_, full()).ok()) << LastError();
  EXPECT_EQ(frames.BytesOf(GetParam()), full());
  for (uint64_t at = 0; at < full(); at += full() / 8) {
    ASSERT_EQ(*range_.at(at), 0);
    *range_.at(at) = 1;
  }
  ASSERT_TRUE(frames.Resize(range_, less()).ok()) << LastError();
  EXPECT_EQ(frames.end(), less());
  ASSERT_TRUE(frames.Resize(range_, full()).ok()) << LastError();
  for (uint64_t at = 0; at < full(); at += full() / 8) ASSERT_EQ(*range_.at(at), at < less());
  ASSERT_TRUE(frames.Resize(range_, 0).ok()) << LastError();
  EXPECT_TRUE(frames.runs().empty());
}

// [FRM-2] Where the morsel's end comes to lie in a frame, what was cut off is zero when it returns.
TEST_P(FramesTest, WhatIsCutOffInAFrameComesBackAsZero) {
  Frames frames = Make();
  ASSERT_TRUE(frames.Resize(range_, full()).ok()) << LastError();
  const uint64_t half = full() / 2;
  *frames.at(half - kPageBytes) = 1;
  *frames.at(half) = 2;
  ASSERT_TRUE(frames.Resize(range_, half).ok()) << LastError();
  EXPECT_EQ(frames.size_bytes(), half);
  EXPECT_EQ(frames.end(), AlignUp(half, FrameBytes(GetParam())));
  EXPECT_EQ(*frames.at(half - kPageBytes), 1);
  ASSERT_TRUE(frames.Resize(range_, full()).ok()) << LastError();
  EXPECT_EQ(*frames.at(half - kPageBytes), 1);
  EXPECT_EQ(*frames.at(half), 0);
  EXPECT_EQ(frames.end(), full());
}

TEST_P(FramesTest, WhatWasNeverTouchedIsKnown) {
  Frames frames = Make();
  ASSERT_TRUE(frames.Resize(range_, full()).ok()) << LastError();
  const SubtreePosition last((full() - 1) / kSubtreeBytes);
  const SubtreePosition end(last.value() + 1);
  EXPECT_TRUE(frames.Of(last).none());
  EXPECT_EQ(frames.Next(SubtreePosition(0), end), end);
  *frames.at(full() - kPageBytes) = 1;
  EXPECT_TRUE(frames.Of(last).test(kPagesPerSubtree - 1));
  EXPECT_EQ(frames.Next(last, end), last);
  const SubtreePosition first(GetParam() == FrameKind::kHugetlb1G ? 0 : last.value());
  EXPECT_EQ(frames.Next(SubtreePosition(0), end), first);
  EXPECT_EQ(frames.Next(SubtreePosition(0), SubtreePosition(1)),
            std::min(first, SubtreePosition(1)));
  // All of a page of 1 GiB is touched at once.
  EXPECT_EQ(frames.Of(SubtreePosition(0)).none(), GetParam() != FrameKind::kHugetlb1G);
  // Of a memory file a page that no page table of this process has is touched, too.
  (void)madvise(frames.at(0), full(), MADV_PAGEOUT);
  EXPECT_TRUE(frames.Of(last).test(kPagesPerSubtree - 1));
  EXPECT_EQ(frames.Next(SubtreePosition(0), end), first);
}

TEST_P(FramesTest, AChildHasNoneOfThem) {
  Frames frames = Make();
  ASSERT_TRUE(frames.Resize(range_, full()).ok()) << LastError();
  *frames.at(0) = 1;
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  bool found = false;
  char name[32];
  std::snprintf(name, sizeof name, "%lx-", reinterpret_cast<uint64_t>(frames.at(0)));
  for (std::string line; std::getline(maps, line);) {
    if (line.rfind(name, 0) == 0) inside = true;
    if (inside && line.rfind("VmFlags:", 0) == 0) {
      found = line.find(" dc") != std::string::npos;
      break;
    }
  }
  EXPECT_TRUE(found) << "the mapping is not marked as nothing for a child";
}

using FramesDeathTest = FramesTest;
INSTANTIATE_TEST_SUITE_P(EachKind, FramesDeathTest, testing::ValuesIn(kEachFrameKind),
                         [](const auto& info) { return TestNameOf(info.param); });
TEST_P(FramesDeathTest, AreReadOnlyOnceProtected) {
  Frames frames = Make(true);
  ASSERT_TRUE(frames.Resize(range_, full()).ok()) << LastError();
  ASSERT_TRUE(frames.Protect().ok()) << LastError();
  EXPECT_EQ(*range_.at(5), 0);
  // A forked child would have nothing there at all, which is not what is asked.
  EXPECT_NE(madvise(range_.at(0), full(), MADV_DOFORK), -1);
  EXPECT_DEATH(*static_cast<volatile char*>(range_.at(5)) = 1, "");
}

// A morsel is of whole 2 MiB: what is left beside pages of 1 GiB is of smaller ones.
TEST(Frames, OfOneGibibyteLeaveTheEndToSmallerOnes) {
  HugePages huge_pages;
  huge_pages.Reserve(FrameKind::kHugetlb1G, 1);
  huge_pages.Reserve(FrameKind::kHugetlb2M, 2);
  AddressRange range = ReserveAnywhere(2 * kGiantBytes);
  const Setting setting("MORSEL_FRAMES", "hugetlb-1g");
  Frames frames = *Frames::Open(false);
  ASSERT_TRUE(frames.Resize(range, kGiantBytes + kSubtreeBytes).ok()) << LastError();
  EXPECT_EQ(frames.BytesOf(FrameKind::kHugetlb1G), kGiantBytes);
  EXPECT_EQ(frames.BytesOf(FrameKind::kHugetlb2M), kSubtreeBytes);
}

// Half of what is wanted is there.
TEST(Frames, ThatRunOutHalfWayAreOfTheNextKindOrAnError) {
  HugePages huge_pages;
  constexpr uint64_t kThere = 5;
  constexpr uint64_t kWanted = 1000;
  huge_pages.Reserve(FrameKind::kHugetlb2M, kThere);
  AddressRange range = ReserveAnywhere(kWanted * kSubtreeBytes);
  {
    const Setting setting("MORSEL_FRAMES", nullptr);
    Frames frames = *Frames::Open(false);
    ASSERT_TRUE(frames.Resize(range, kWanted * kSubtreeBytes).ok()) << LastError();
    const uint64_t huge = frames.BytesOf(FrameKind::kHugetlb2M);
    EXPECT_GE(huge, kThere * kSubtreeBytes);
    EXPECT_EQ(huge + frames.BytesOf(FrameKind::kAnonymous), kWanted * kSubtreeBytes);
    // All of it works, on both sides of where one kind ends.
    for (uint64_t at = 0; at < 2 * huge; at += kSubtreeBytes) *frames.at(at) = 1;
    ASSERT_TRUE(frames.Resize(range, 0).ok()) << LastError();
  }
  const Setting setting("MORSEL_FRAMES", "hugetlb-2m");
  Frames frames = *Frames::Open(false);
  ASSERT_TRUE(frames.Resize(range, 2 * kSubtreeBytes).ok()) << LastError();
  *frames.at(0) = 7;
  EXPECT_EQ(frames.Resize(range, kWanted * kSubtreeBytes).code(), Code::kNoMemory);
  EXPECT_NE(std::strstr(LastError(), "nr_hugepages"), nullptr) << LastError();
  // As before, and what was taken on the way is free again.
  EXPECT_EQ(frames.end(), 2 * kSubtreeBytes);
  EXPECT_EQ(*frames.at(0), 7);
  EXPECT_TRUE(frames.Resize(range, kThere * kSubtreeBytes).ok()) << LastError();
}

TEST(Frames, AreChosenByWhatTheHostHas) {
  const Setting setting("MORSEL_FRAMES", nullptr);
  HugePages huge_pages;
  huge_pages.SetShmem("never");
  using Kinds = std::vector<FrameKind>;
  EXPECT_EQ(ChooseFrames(false)->kinds, Kinds({FrameKind::kHugetlb2M, FrameKind::kAnonymous}));
  // Who never writes has no checkpoints that would compare 1 GiB at a time.
  EXPECT_EQ(ChooseFrames(true)->kinds,
            Kinds({FrameKind::kHugetlb1G, FrameKind::kHugetlb2M, FrameKind::kAnonymous}));
  huge_pages.SetAnonymous("never");
  huge_pages.SetShmem("advise");
  EXPECT_EQ(ChooseFrames(false)->kinds,
            Kinds({FrameKind::kHugetlb2M, FrameKind::kShmemHuge, FrameKind::kAnonymous}));
  EXPECT_NE(FramesInWords().find("shmem-huge"), std::string::npos) << FramesInWords();
}

TEST(Frames, OfAnUnknownKindOrOneThatTheHostNeverGivesAreRefused) {
  HugePages huge_pages;
  huge_pages.SetShmem("never");
  {
    const Setting setting("MORSEL_FRAMES", "large");
    EXPECT_EQ(Frames::Open(false).error(), Code::kInvalidArgument);
    EXPECT_NE(std::strstr(LastError(), "hugetlb-2m"), nullptr) << LastError();
  }
  const Setting setting("MORSEL_FRAMES", "shmem-huge");
  EXPECT_EQ(Frames::Open(false).error(), Code::kUnsupported);
  EXPECT_NE(std::strstr(LastError(), "shmem_enabled"), nullptr) << LastError();
}

TEST(Frames, ThatTheProcessMayNotHaveAreNoMemory) {
  const Setting setting("MORSEL_FRAMES", nullptr);
  AddressRange range = ReserveAnywhere(kSubtreeBytes);
  Frames frames = *Frames::Open(false);
  (void)LastError();  // a sanitizer takes memory when a thread's sentence is first asked for
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  rlimit nothing_more = before;
  nothing_more.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_AS, &nothing_more), 0);
  const Status status = frames.Resize(range, kSubtreeBytes);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(status.code(), Code::kNoMemory);
  EXPECT_NE(std::strstr(LastError(), "ulimit"), nullptr) << LastError();
  EXPECT_TRUE(frames.Resize(range, kSubtreeBytes).ok());
}

// Sparse, a morsel may be larger than memory; what is stored in it may not.
TEST(Frames, MayBeMoreThanThereIsOfMemoryIfTheyAreNotUsed) {
  const Setting setting("MORSEL_FRAMES", "anonymous");
#ifdef __SANITIZE_THREAD__  // which leaves a program less room
  constexpr uint64_t kBytes = 128 * kGiB;
#else
  constexpr uint64_t kBytes = 1024 * kGiB;
#endif
  AddressRange range = ReserveAnywhere(kBytes);
  Frames frames = *Frames::Open(false);
  ASSERT_TRUE(frames.Resize(range, kBytes).ok()) << LastError();
  *frames.at(kBytes - 1) = 1;
  EXPECT_TRUE(frames.CheckMemoryFor(kMiB).ok()) << LastError();
  EXPECT_EQ(frames.CheckMemoryFor(kBytes * 15 / 16).code(), Code::kNoMemory);
}

TEST(ProcessPage, LiesBesideTheFrames) {
  AddressRange range = ReserveAnywhere(2 * kSubtreeBytes);
  Frames frames = *Frames::Open(false);
  ASSERT_TRUE(frames.Resize(range, kSubtreeBytes).ok());
  ASSERT_TRUE(PlaceProcessPage(range, kSubtreeBytes).ok());
  EXPECT_EQ(*range.at(kSubtreeBytes), 0);
  std::memset(range.at(kSubtreeBytes), 1, kPageBytes);
}

}  // namespace
}  // namespace morsel::pmem
