// Tests each method on each kind of frame, against the pages that were really written.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "base/bits.h"
#include "base/error.h"
#include "os/memory/open_dirty_tracker.h"
#include "os/testing/frames_testing.h"

namespace morsel::os {
namespace {

using Pages = std::set<uint64_t>;

Pages PagesOf(const PageSet& set) {
  Pages pages;
  for (const auto& [position, bits] : set.subtrees()) {
    for (uint64_t page = 0; page < kPagesPerSubtree; ++page) {
      if (bits.test(page)) pages.insert(position.value() * kPagesPerSubtree + page);
    }
  }
  return pages;
}

/// Opens a tracker of the method `way`. This kernel must have it, and this process may use it.
std::unique_ptr<DirtyTracker> OpenWay(const char* way) {
  const Setting setting("MORSEL_DIRTY", way);
  Result<std::unique_ptr<DirtyTracker>> dirty = OpenDirtyTracker();
  EXPECT_TRUE(dirty.has_value()) << LastError();
  if (!dirty) return nullptr;
  EXPECT_STREQ((*dirty)->method(), way);
  return std::move(*dirty);
}

struct Memory {
  FrameKind kind;
  bool is_small;  // in pages of 4 KiB, without huge ones
};
constexpr Memory kEachMemory[] = {{FrameKind::kHugetlb1G, false}, {FrameKind::kHugetlb2M, false},
                                  {FrameKind::kShmemHuge, false}, {FrameKind::kShmem, true},
                                  {FrameKind::kAnonymous, false}, {FrameKind::kAnonymous, true}};

class DirtyTrackerTest : public testing::TestWithParam<std::tuple<Memory, const char*>> {
 protected:
  static void SetUpTestSuite() {
    huge_pages.emplace();
    huge_pages->ProvideEach(16 * kSubtreeBytes);
  }
  static void TearDownTestSuite() { huge_pages.reset(); }
  void SetUp() override {
    bytes_ = kind() == FrameKind::kHugetlb1G ? kGiantBytes : 16 * kSubtreeBytes;
    range_ = ReserveAnywhere(bytes_);
    const Setting setting("MORSEL_FRAMES", FrameKindName(kind()));
    frames_.emplace(*Frames::Open(false));
    ASSERT_TRUE(frames_->Resize(range_, bytes_).ok()) << LastError();
    if (is_small()) (void)madvise(frames_->at(0), bytes_, MADV_NOHUGEPAGE);
    // The second half is not touched before it is tracked.
    std::memset(frames_->at(0), 1, 8 * kSubtreeBytes);
    dirty_ = OpenWay(std::get<1>(GetParam()));
    ASSERT_NE(dirty_, nullptr);
  }
  FrameKind kind() const { return std::get<0>(GetParam()).kind; }
  bool is_small() const { return std::get<0>(GetParam()).is_small; }
  // How many bytes one store may make dirty.
  uint64_t unit() const {
    return is_small() ? kPageBytes : std::max(kSubtreeBytes, FrameBytes(kind()));
  }
  void StoreAtomically(uint64_t page, char value) {
    reinterpret_cast<std::atomic<char>*>(frames_->at(page * kPageBytes))->store(value);
  }
  Pages Collect() {
    PageSet set;
    const Result<bool> known = dirty_->Collect(*frames_, set);
    EXPECT_TRUE(known.has_value() && *known) << LastError();
    return PagesOf(set);
  }

  static inline std::optional<HugePages> huge_pages;
  uint64_t bytes_ = 0;
  AddressRange range_;
  std::optional<Frames> frames_;
  std::unique_ptr<DirtyTracker> dirty_;
};
std::string NameOf(const testing::TestParamInfo<std::tuple<Memory, const char*>>& info) {
  const auto& [memory, way] = info.param;
  return std::string(way) + TestNameOf(memory.kind) + (memory.is_small ? "small" : "");
}
INSTANTIATE_TEST_SUITE_P(EachWay, DirtyTrackerTest,
                         testing::Combine(testing::ValuesIn(kEachMemory),
                                          testing::Values("scan", "fault")),
                         NameOf);

TEST_P(DirtyTrackerTest, EachWrittenPageIsReportedOnce) {
  ASSERT_TRUE(dirty_->Track(*frames_, 0).ok()) << LastError();
  EXPECT_TRUE(Collect().empty()) << "nothing was written yet";
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  std::mt19937_64 random(1);
  for (int round = 0; round < 10; ++round) {
    Pages written;
    for (int i = 0; i < 50; ++i) {
      const uint64_t at = random() % bytes_;
      written.insert(at / kPageBytes);
      if (i % 5 != 0) {
        *frames_->at(at) = static_cast<char>(round);
      } else {  // stores by the kernel count, too
        ASSERT_EQ(write(pipe_ends[1], "x", 1), 1);
        ASSERT_EQ(read(pipe_ends[0], frames_->at(at), 1), 1) << std::strerror(errno);
        ASSERT_EQ(*frames_->at(at), 'x');
      }
    }
    const Pages found = Collect();
    Pages allowed;
    for (const uint64_t page : written) {
      ASSERT_TRUE(found.count(page) == 1) << page;
      allowed.insert(page / (unit() / kPageBytes));
    }
    for (const uint64_t page : found) {
      ASSERT_TRUE(allowed.count(page / (unit() / kPageBytes)) == 1) << page;
    }
  }
  EXPECT_TRUE(Collect().empty());
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

// [DRT-1] Two threads store while pages are collected. They block all signals, which tracking must
// not need.
TEST_P(DirtyTrackerTest, StoresDuringCollectAreReportedThenOrLater) {
  ASSERT_TRUE(dirty_->Track(*frames_, 0).ok()) << LastError();
  Pages written[2];
  std::atomic<int> running = 2;
  const auto store = [&](int thread) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    std::mt19937_64 random(static_cast<uint64_t>(thread));
    for (int i = 0; i < 2000; ++i) {
      const uint64_t page = random() % (bytes_ / kPageBytes);
      auto* const word = reinterpret_cast<std::atomic<uint32_t>*>(frames_->at(page * kPageBytes));
      word->fetch_add(1);
      written[thread].insert(page);
    }
    --running;
  };
  std::thread first(store, 0);
  std::thread second(store, 1);
  Pages found;
  while (running > 0) found.merge(Collect());
  first.join();
  second.join();
  found.merge(Collect());
  for (const Pages& pages : written) {
    for (const uint64_t page : pages) ASSERT_EQ(found.count(page), 1u) << page;
  }
}

// The tracker goes while a child lives that has its descriptors.
TEST_P(DirtyTrackerTest, WaitingStoresGoOnWhenTrackingEnds) {
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(dirty_->Track(*frames_, 0).ok()) << LastError();
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      char byte;
      close(pipe_ends[1]);
      _exit(read(pipe_ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    ASSERT_GT(child, 0);
    std::atomic<bool> ends = false;
    std::thread thread([&] {
      for (uint64_t page = 0; !ends; page = (page + 1) % (8 * kPagesPerSubtree)) {
        StoreAtomically(page, 3);
      }
    });
    (void)Collect();
    dirty_.reset();
    // Stores to about 600 pages all over the memory, however large it is.
    const uint64_t pages = bytes_ / kPageBytes;
    for (uint64_t page = 0; page < pages; page += pages / 600 + 1) StoreAtomically(page, 4);
    ends = true;
    thread.join();
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    dirty_ = OpenWay(std::get<1>(GetParam()));
  }
}

TEST_P(DirtyTrackerTest, UntrackedMemoryIsNotReportedAsClean) {
  PageSet set;
  const Result<bool> known = dirty_->Collect(*frames_, set);
  EXPECT_TRUE(!known.has_value() || PagesOf(set).size() >= 8 * kPagesPerSubtree);
}

// Frames that are added later are tracked from where they begin.
TEST_P(DirtyTrackerTest, RegrownFramesAreTrackedAnew) {
  const uint64_t half = kind() == FrameKind::kHugetlb1G ? 0 : bytes_ / 2;
  ASSERT_TRUE(dirty_->Track(*frames_, 0).ok()) << LastError();
  ASSERT_TRUE(frames_->Resize(range_, half).ok()) << LastError();
  ASSERT_TRUE(frames_->Resize(range_, bytes_).ok()) << LastError();
  ASSERT_TRUE(dirty_->Track(*frames_, half).ok()) << LastError();
  EXPECT_TRUE(Collect().empty());
  *frames_->at(bytes_ - 1) = 1;
  const Pages found = Collect();
  EXPECT_EQ(found.count(bytes_ / kPageBytes - 1), 1u);
  EXPECT_LE(found.size(), unit() / kPageBytes * 512);
}

// [DRT-2] Of 64 GiB only a few pages are used.
class SparseDirtyTrackerTest : public testing::TestWithParam<std::tuple<FrameKind, const char*>> {};
INSTANTIATE_TEST_SUITE_P(EachWay, SparseDirtyTrackerTest,
                         testing::Combine(testing::Values(FrameKind::kAnonymous, FrameKind::kShmem),
                                          testing::Values("scan", "fault")),
                         [](const auto& info) {
                           return std::string(std::get<1>(info.param)) +
                                  TestNameOf(std::get<0>(info.param));
                         });

uint64_t StatusKiB(const char* name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name, 0) == 0) return std::stoull(line.substr(std::strlen(name)));
  }
  return 0;
}

TEST_P(SparseDirtyTrackerTest, UntouchedPagesCostNothing) {
  constexpr uint64_t kBytes = 64 * kGiB;
  const Setting setting("MORSEL_FRAMES", FrameKindName(std::get<0>(GetParam())));
  AddressRange range = ReserveAnywhere(kBytes);
  Frames frames = *Frames::Open(false);
  ASSERT_TRUE(frames.Resize(range, kBytes).ok()) << LastError();
  ASSERT_EQ(madvise(frames.at(0), kBytes, MADV_NOHUGEPAGE), 0);
  Pages expected;
  for (uint64_t i = 0; i < 20; ++i) {
    const uint64_t page = i * 797003 % (kBytes / kPageBytes);
    *frames.at(page * kPageBytes) = 1;
    expected.insert(page);
  }
  const std::unique_ptr<DirtyTracker> dirty = OpenWay(std::get<1>(GetParam()));
  const uint64_t tables_before = StatusKiB("VmPTE:");
  const uint64_t resident_before = StatusKiB("VmRSS:");
  ASSERT_TRUE(dirty->Track(frames, 0).ok()) << LastError();
  PageSet none;
  ASSERT_TRUE(dirty->Collect(frames, none).has_value()) << LastError();
  EXPECT_TRUE(none.subtrees().empty());
  for (const uint64_t page : expected) *frames.at(page * kPageBytes) = 2;
  const uint64_t fresh = 5;
  *frames.at(fresh * kPageBytes) = 2;
  expected.insert(fresh);
  PageSet set;
  ASSERT_TRUE(dirty->Collect(frames, set).has_value()) << LastError();
  EXPECT_EQ(PagesOf(set), expected);
  EXPECT_LE(StatusKiB("VmPTE:"), tables_before + 64);
  EXPECT_LE(StatusKiB("VmRSS:"), resident_before + 8 * 1024);
}

constexpr uint64_t kPartBytes = 256 * kMiB;

// The method `fault` looks into the parts of the frames that were ever touched.
class FirstTouchesTest : public testing::Test {
 protected:
  void Make(uint64_t bytes, uint64_t capacity_bytes) {
    range_ = ReserveAnywhere(capacity_bytes);
    frames_ = std::make_unique<Frames>(*Frames::Open(false));
    ASSERT_TRUE(frames_->Resize(range_, bytes).ok()) << LastError();
    Result<std::unique_ptr<DirtyTracker>> opened = OpenDirtyTracker();
    ASSERT_TRUE(opened.has_value()) << LastError();
    dirty_ = std::move(*opened);
  }
  void Store(uint64_t offset) {
    reinterpret_cast<std::atomic<char>*>(frames_->at(offset))->store(1);
  }
  // The subtrees of what was written.
  std::set<uint64_t> Collect() {
    PageSet set;
    const Result<bool> known = dirty_->Collect(*frames_, set);
    EXPECT_TRUE(known.has_value() && *known) << LastError();
    std::set<uint64_t> subtrees;
    for (const auto& [position, pages] : set.subtrees()) {
      if (pages.any()) subtrees.insert(position.value());
    }
    return subtrees;
  }
  static std::set<uint64_t> SubtreesOf(const std::vector<uint64_t>& offsets) {
    std::set<uint64_t> subtrees;
    for (const uint64_t offset : offsets) subtrees.insert(offset / kSubtreeBytes);
    return subtrees;
  }

  const Setting frames_setting_{"MORSEL_FRAMES", "anonymous"};
  const Setting dirty_setting_{"MORSEL_DIRTY", "fault"};
  AddressRange range_;
  std::unique_ptr<Frames> frames_;
  std::unique_ptr<DirtyTracker> dirty_;
};

TEST_F(FirstTouchesTest, AStoreIntoAnUntouchedPartIsFound) {
  ASSERT_NO_FATAL_FAILURE(Make(8 * kGiB, 8 * kGiB));
  Store(3 * kGiB);
  ASSERT_TRUE(dirty_->Track(*frames_, 0).ok()) << LastError();
  EXPECT_TRUE(Collect().empty()) << "it was stored before";
  const std::vector<uint64_t> stored = {0, 3 * kGiB + kSubtreeBytes, 5 * kGiB, 8 * kGiB - 1};
  for (const uint64_t offset : stored) Store(offset);
  EXPECT_EQ(Collect(), SubtreesOf(stored));
  EXPECT_TRUE(Collect().empty());
  for (const uint64_t offset : stored) Store(offset);
  EXPECT_EQ(Collect(), SubtreesOf(stored));
}

TEST_F(FirstTouchesTest, FramesThatGrowAreLookedIntoWhereTheyAreTouched) {
  ASSERT_NO_FATAL_FAILURE(Make(kPartBytes + 2 * kSubtreeBytes, 4 * kGiB));
  ASSERT_TRUE(dirty_->Track(*frames_, 0).ok()) << LastError();
  Store(kPartBytes);  // in the part that grows
  EXPECT_EQ(Collect(), SubtreesOf({kPartBytes}));
  const uint64_t before = frames_->end();
  ASSERT_TRUE(frames_->Resize(range_, 4 * kGiB).ok()) << LastError();
  ASSERT_TRUE(dirty_->Track(*frames_, before).ok()) << LastError();
  const std::vector<uint64_t> stored = {before, 2 * kPartBytes, 4 * kGiB - 1, 0};
  for (const uint64_t offset : stored) Store(offset);
  EXPECT_EQ(Collect(), SubtreesOf(stored));
}

TEST_F(FirstTouchesTest, ThreadsThatTouchAPartAtATimeAllGoOn) {
  ASSERT_NO_FATAL_FAILURE(Make(16 * kGiB, 16 * kGiB));
  ASSERT_TRUE(dirty_->Track(*frames_, 0).ok()) << LastError();
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t part = 0; part < 16 * kGiB / kPartBytes; ++part) {
        Store(part * kPartBytes + thread * 4 * kSubtreeBytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Collect().size(), 8 * 16 * kGiB / kPartBytes);
}

TEST(DirtyTracker, CompareKnowsNothing) {
  AddressRange range = ReserveAnywhere(kSubtreeBytes);
  const Setting setting("MORSEL_FRAMES", "anonymous");
  Frames frames = *Frames::Open(false);
  ASSERT_TRUE(frames.Resize(range, kSubtreeBytes).ok());
  const std::unique_ptr<DirtyTracker> dirty = OpenWay("compare");
  ASSERT_TRUE(dirty->Track(frames, 0).ok());
  PageSet set;
  EXPECT_FALSE(*dirty->Collect(frames, set));
}

TEST(DirtyTracker, UnknownMethodIsRefused) {
  const Setting setting("MORSEL_DIRTY", "guess");
  EXPECT_EQ(OpenDirtyTracker().error(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace morsel::os
