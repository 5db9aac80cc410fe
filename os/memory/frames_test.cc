#include "os/memory/frames.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "base/bits.h"
#include "base/error.h"
#include "base/units.h"
#include "os/testing/frames_testing.h"

namespace morsel::os {
namespace {

// Each kind, forced by MORSEL_FRAMES, on a host that has it.
class FramesTest : public testing::TestWithParam<FrameKind> {
 protected:
  static void SetUpTestSuite() {
    huge_pages.emplace();
    huge_pages->ProvideEach(4 * kSubtreeBytes);
  }
  static void TearDownTestSuite() { huge_pages.reset(); }
  void SetUp() override { range_ = ReserveAnywhere(full()); }
  // A host has few pages of 1 GiB, so the tests of that kind use one.
  uint64_t full() const {
    return GetParam() == FrameKind::kHugetlb1G ? kGiantBytes : 4 * kSubtreeBytes;
  }
  // A smaller size that cuts no frame in two.
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

TEST_P(FramesTest, NewFramesAreZeroAndWritableAlsoAfterACut) {
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

// [FRM-2] If a morsel is cut within a frame, the part that was cut off comes back as zeros.
TEST_P(FramesTest, PartCutOffWithinAFrameComesBackAsZero) {
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

TEST_P(FramesTest, MemoryThatWasGivenBackIsZeroAndUntouchedOrAsItWas) {
  Frames frames = Make();
  ASSERT_TRUE(frames.Resize(range_, full()).ok()) << LastError();
  std::memset(frames.at(0), 1, full());
  const uint64_t begin = full() / 2 - 3 * kPageBytes;
  frames.GiveBack(begin, 8 * kPageBytes);
  const bool goes = GetParam() == FrameKind::kAnonymous;
  for (uint64_t page = 0; page < 8; ++page) {
    EXPECT_EQ(*frames.at(begin + page * kPageBytes), goes ? 0 : 1) << page;
  }
  EXPECT_EQ(*frames.at(begin - 1), 1);
  EXPECT_EQ(*frames.at(begin + 8 * kPageBytes), 1);
  frames.GiveBack(0, full());
  EXPECT_EQ(frames.Of(SubtreePosition(0)).none(), goes);
}

TEST_P(FramesTest, KnowsWhichPagesWereNeverTouched) {
  Frames frames = Make();
  ASSERT_TRUE(frames.Resize(range_, full()).ok()) << LastError();
  const SubtreePosition last((full() - 1) / kSubtreeBytes);
  const SubtreePosition end(last.value() + 1);
  if (FrameBytes(GetParam()) > kPageBytes) {  // they were touched when they were taken
    EXPECT_TRUE(frames.Of(last).all());
    EXPECT_EQ(frames.Next(SubtreePosition(0), end), SubtreePosition(0));
    return;
  }
  EXPECT_TRUE(frames.Of(last).none());
  EXPECT_EQ(frames.Next(SubtreePosition(0), end), end);
  *frames.at(full() - kPageBytes) = 1;
  EXPECT_TRUE(frames.Of(last).test(kPagesPerSubtree - 1));
  EXPECT_EQ(frames.Next(last, end), last);
  EXPECT_EQ(frames.Next(SubtreePosition(0), end), last);
  EXPECT_EQ(frames.Next(SubtreePosition(0), SubtreePosition(1)), SubtreePosition(1));
  EXPECT_TRUE(frames.Of(SubtreePosition(0)).none());
  // A page of a memory file counts as touched also when it is in no page table of this process.
  (void)madvise(frames.at(0), full(), MADV_PAGEOUT);
  EXPECT_TRUE(frames.Of(last).test(kPagesPerSubtree - 1));
  EXPECT_EQ(frames.Next(SubtreePosition(0), end), last);
}

TEST_P(FramesTest, ForkedChildDoesNotGetThem) {
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
TEST_P(FramesDeathTest, StoreAfterProtectEndsTheProcess) {
  Frames frames = Make(true);
  ASSERT_TRUE(frames.Resize(range_, full()).ok()) << LastError();
  ASSERT_TRUE(frames.Protect().ok()) << LastError();
  EXPECT_EQ(*range_.at(5), 0);
  // Death tests fork. The child must have the frames, or it would die of something else.
  EXPECT_NE(madvise(range_.at(0), full(), MADV_DOFORK), -1);
  EXPECT_DEATH(*static_cast<volatile char*>(range_.at(5)) = 1, "");
}

// A morsel is a multiple of 2 MiB, so its end may need smaller pages than 1 GiB.
TEST(Frames, EndThatFillsNoGiantPageIsOfSmallerPages) {
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

// The host has fewer huge pages than are wanted.
TEST(Frames, RunningOutTakesTheNextKindOrFailsIfForced) {
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
    // The memory works on both sides of where the first kind ends.
    for (uint64_t at = 0; at < 2 * huge; at += kSubtreeBytes) *frames.at(at) = 1;
    ASSERT_TRUE(frames.Resize(range, 0).ok()) << LastError();
  }
  const Setting setting("MORSEL_FRAMES", "hugetlb-2m");
  Frames frames = *Frames::Open(false);
  ASSERT_TRUE(frames.Resize(range, 2 * kSubtreeBytes).ok()) << LastError();
  *frames.at(0) = 7;
  EXPECT_EQ(frames.Resize(range, kWanted * kSubtreeBytes).code(), Code::kNoMemory);
  EXPECT_NE(std::strstr(LastError(), "nr_hugepages"), nullptr) << LastError();
  // The frames are as before, and the huge pages that were taken in vain are free again.
  EXPECT_EQ(frames.end(), 2 * kSubtreeBytes);
  EXPECT_EQ(*frames.at(0), 7);
  EXPECT_TRUE(frames.Resize(range, kThere * kSubtreeBytes).ok()) << LastError();
}

// As in a control group whose limit of hugetlb is 0: the pages are reserved, and no touch gets one.
void ForbidTaking() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 23, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EFAULT),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {std::size(program), program};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

TEST(Frames, HugePagesThatMayNotBeTouchedAreNotTaken) {
  HugePages huge_pages;
  huge_pages.Reserve(FrameKind::kHugetlb2M, 4);
  const auto body = [] {
    ForbidTaking();
    AddressRange range = ReserveAnywhere(4 * kSubtreeBytes);
    {
      const Setting setting("MORSEL_FRAMES", nullptr);
      EXPECT_NE(FramesInWords().find("control group forbids"), std::string::npos)
          << FramesInWords();
      Frames frames = *Frames::Open(false);
      EXPECT_TRUE(frames.Resize(range, 4 * kSubtreeBytes).ok()) << LastError();
      EXPECT_EQ(frames.BytesOf(FrameKind::kAnonymous), 4 * kSubtreeBytes);
      *frames.at(0) = 1;
      EXPECT_TRUE(frames.Resize(range, 0).ok());
    }
    const Setting setting("MORSEL_FRAMES", "hugetlb-2m");
    Frames frames = *Frames::Open(false);
    EXPECT_EQ(frames.Resize(range, kSubtreeBytes).code(), Code::kNoMemory);
    EXPECT_NE(std::strstr(LastError(), "control group"), nullptr) << LastError();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

TEST(Frames, KindsFollowWhatTheHostHas) {
  const Setting setting("MORSEL_FRAMES", nullptr);
  HugePages huge_pages;
  huge_pages.SetShmem("never");
  using Kinds = std::vector<FrameKind>;
  EXPECT_EQ(ChooseFrames(false)->kinds, Kinds({FrameKind::kHugetlb2M, FrameKind::kAnonymous}));
  // A reader has no checkpoints, which would compare 1 GiB at a time.
  EXPECT_EQ(ChooseFrames(true)->kinds,
            Kinds({FrameKind::kHugetlb1G, FrameKind::kHugetlb2M, FrameKind::kAnonymous}));
  huge_pages.SetAnonymous("never");
  huge_pages.SetShmem("advise");
  EXPECT_EQ(ChooseFrames(false)->kinds,
            Kinds({FrameKind::kHugetlb2M, FrameKind::kShmemHuge, FrameKind::kAnonymous}));
  EXPECT_NE(FramesInWords().find("shmem-huge"), std::string::npos) << FramesInWords();
}

TEST(Frames, UnknownOrUnavailableKindIsRefused) {
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

TEST(Frames, MemoryLimitOfTheProcessGivesNoMemory) {
  const Setting setting("MORSEL_FRAMES", nullptr);
  AddressRange range = ReserveAnywhere(kSubtreeBytes);
  Frames frames = *Frames::Open(false);
  (void)LastError();  // a sanitizer allocates when a thread's message is first read
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

// A sparse morsel may be larger than the memory. What is stored in it may not.
TEST(Frames, SparseFramesMayExceedMemory) {
  const Setting setting("MORSEL_FRAMES", "anonymous");
#ifdef __SANITIZE_THREAD__  // it leaves a program fewer addresses
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

TEST(ProcessPage, IsZeroAndWritableBesideTheFrames) {
  AddressRange range = ReserveAnywhere(2 * kSubtreeBytes);
  Frames frames = *Frames::Open(false);
  ASSERT_TRUE(frames.Resize(range, kSubtreeBytes).ok());
  ASSERT_TRUE(PlaceProcessPage(range, kSubtreeBytes).ok());
  EXPECT_EQ(*range.at(kSubtreeBytes), 0);
  std::memset(range.at(kSubtreeBytes), 1, kPageBytes);
}

// A file of three subtrees, each full of its letter.
TEST(MappedFrames, RunsOfAFileAreInThePlaceOfFrames) {
  const int file = memfd_create("mapped", MFD_CLOEXEC);
  for (const char letter : {'a', 'b', 'c'}) {
    const std::string bytes(kSubtreeBytes, letter);
    ASSERT_EQ(write(file, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  constexpr uint64_t kBytes = 6 * kSubtreeBytes;
  AddressRange range = ReserveAnywhere(kBytes);
  Frames frames = Frames::OpenPrivate();
  ASSERT_TRUE(frames.Resize(range, kBytes).ok()) << LastError();
  const std::vector<FileRun> runs = {{kSubtreeBytes, kSubtreeBytes, 2 * kSubtreeBytes},
                                     {4 * kSubtreeBytes, 0, kSubtreeBytes}};
  ASSERT_TRUE(frames.MapFile(range, file, runs).ok()) << LastError();
  EXPECT_EQ(frames.runs().size(), 5U);
  EXPECT_EQ(frames.BytesOf(FrameKind::kFile), 3 * kSubtreeBytes);
  for (uint64_t subtree = 0; subtree < 6; ++subtree) {
    constexpr char kLetters[] = {'\0', 'b', 'c', '\0', 'a', '\0'};
    EXPECT_EQ(*range.at(subtree * kSubtreeBytes + 5), kLetters[subtree]) << subtree;
  }
  // What nobody has touched is in no page table.
  EXPECT_TRUE(frames.Of(SubtreePosition(2)).all());
  EXPECT_EQ(frames.Next(SubtreePosition(1), SubtreePosition(6)), SubtreePosition(1));
  // A store stays here.
  *range.at(4 * kSubtreeBytes) = 'x';
  char byte = 0;
  ASSERT_EQ(pread(file, &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'a');
  ASSERT_TRUE(frames.Protect().ok()) << LastError();
  EXPECT_EQ(*range.at(4 * kSubtreeBytes), 'x');
  close(file);
}

}  // namespace
}  // namespace morsel::os
