#include "os/memory/huge_watch.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "os/testing/frames_testing.h"

namespace morsel::os {
namespace {

constexpr uint64_t kSubtrees = 64;
constexpr uint64_t kBytes = kSubtrees * kSubtreeBytes;

// Frames of a morsel, and what watches them.
struct Watched {
  Watched() {
    EXPECT_TRUE(frames.Resize(range, kBytes).ok()) << LastError();
    frames.AdviseHuge(0, kBytes, true);
    watch.emplace(frames);
  }
  // As for a large block.
  void Expect(uint64_t offset, uint64_t size_bytes) {
    watch->ExpectAnything(offset, size_bytes);
    HugeThread::OfProcess().Begin();
  }
  bool IsHuge(uint64_t subtree) {
    *frames.at(subtree * kSubtreeBytes) = 1;
    return frames.Of(SubtreePosition(subtree)).count() == kPagesPerSubtree;
  }
  // Fills all of it, and lets the thread see what was in small pages. Returns how much that was.
  uint64_t Fill() {
    uint64_t small = 0;
    for (uint64_t subtree = 0; subtree < kSubtrees; ++subtree) {
      const bool is_small = !IsHuge(subtree);
      std::memset(frames.at(subtree * kSubtreeBytes), 1, kSubtreeBytes);
      if (!is_small) continue;
      ++small;
      AwaitLooks(2);  // the one under way may have seen less
    }
    return small;
  }
  void AwaitLooks(uint64_t looks) {
    for (const uint64_t end = watch->looks() + looks; watch->looks() < end;) sched_yield();
  }

  AddressRange range = ReserveAnywhere(kBytes);
  Frames frames = *Frames::Open(false);
  std::optional<HugeWatch> watch;
};

uint64_t Threads() {
  return static_cast<uint64_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
}

class HugeWatchTest : public testing::Test {
 protected:
  void SetUp() override { huge_pages_.SetAnonymous("madvise"); }

  const Setting setting_{"MORSEL_FRAMES", "anonymous"};
  HugePages huge_pages_;
  const uint64_t threads_before_ = Threads();
};

TEST_F(HugeWatchTest, TheThreadFollowsAProgramThatMakesNoCalls) {
  Watched watched;
  watched.Expect(0, kBytes);
  EXPECT_LE(watched.Fill(), 3u);
}

TEST_F(HugeWatchTest, AllMorselsOfTheProcessHaveOneThread) {
  std::vector<std::unique_ptr<Watched>> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(std::make_unique<Watched>());
    all.back()->Expect(0, kBytes);
  }
  EXPECT_EQ(Threads(), threads_before_ + 1);
  for (const auto& one : all) one->AwaitLooks(1);
  EXPECT_LE(all[7]->Fill(), 3u);
  while (all.size() > 1) all.pop_back();
  EXPECT_EQ(Threads(), threads_before_ + 1);
  EXPECT_LE(all[0]->Fill(), 3u);
  all.clear();
  EXPECT_EQ(Threads(), threads_before_);
}

TEST_F(HugeWatchTest, AProgramWithoutLargeBlocksHasNoThread) {
  Watched watched;
  HugeThread::OfProcess().Begin();
  for (uint64_t at = 0; at < HugeThread::kBytesMin / 2; at += kSubtreeBytes) {
    watched.Expect(at, 256 * kKiB);
    watched.watch->ExpectDense(at, 64 * kKiB);
  }
  EXPECT_EQ(Threads(), threads_before_);
  watched.Expect(0, HugeThread::kBytesMin);
  EXPECT_EQ(Threads(), threads_before_ + 1);
}

TEST_F(HugeWatchTest, TheThreadComesBackAfterTheLastMorselIsGone) {
  for (int i = 0; i < 3; ++i) {
    Watched watched;
    watched.Expect(0, kBytes);
    watched.AwaitLooks(1);
    EXPECT_EQ(Threads(), threads_before_ + 1);
  }
}

// The heap's lock is held in these calls.
TEST_F(HugeWatchTest, CallsOfTheHeapWaitForNoLook) {
  Watched watched;
  const auto paused = watched.watch->Pause();  // as during a look
  watched.watch->ExpectAnything(0, kBytes / 2);
  watched.watch->ExpectDense(kBytes / 2, kSubtreeBytes);
  EXPECT_TRUE(watched.IsHuge(kSubtrees / 2));
  watched.watch->GaveBack(0, kBytes);
}

}  // namespace
}  // namespace morsel::os
