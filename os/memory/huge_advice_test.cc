#include "os/memory/huge_advice.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "os/testing/frames_testing.h"

namespace morsel::os {
namespace {

constexpr uint64_t kSubtrees = 128;
constexpr uint64_t kBytes = kSubtrees * kSubtreeBytes;

// Frames of private memory on a host that gives it huge pages where it is asked to, or everywhere.
class HugeAdviceTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    huge_pages_.SetAnonymous(GetParam());
    frames_.emplace(*Frames::Open(false));
    ASSERT_TRUE(frames_->Resize(range_, kBytes).ok()) << LastError();
    advice_.emplace(*frames_);
  }
  void Touch(uint64_t subtree, uint64_t page = 0) {
    *frames_->at(subtree * kSubtreeBytes + page * kPageBytes) = 1;
  }
  void Fill(uint64_t subtree) {
    std::memset(frames_->at(subtree * kSubtreeBytes), 1, kSubtreeBytes);
  }
  uint64_t Pages(uint64_t subtree) const { return frames_->Of(SubtreePosition(subtree)).count(); }
  bool IsHuge(uint64_t subtree) {
    Touch(subtree);
    return Pages(subtree) == kPagesPerSubtree;
  }
  uint64_t AllPages() const {
    uint64_t pages = 0;
    for (uint64_t subtree = 0; subtree < kSubtrees; ++subtree) pages += Pages(subtree);
    return pages;
  }

  const Setting setting_{"MORSEL_FRAMES", "anonymous"};
  HugePages huge_pages_;
  AddressRange range_ = ReserveAnywhere(kBytes);
  std::optional<Frames> frames_;
  std::optional<HugeAdvice> advice_;
};
INSTANTIATE_TEST_SUITE_P(EachSetting, HugeAdviceTest, testing::Values("madvise", "always"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(HugeAdviceTest, OnePageOfEachSubtreeStaysOne) {
  EXPECT_GT(advice_->ExpectAnything(0, kBytes), 0u);
  for (uint64_t subtree = 0; subtree < kSubtrees; ++subtree) {
    Touch(subtree, subtree);
    if (subtree % 16 == 0) {
      EXPECT_TRUE(advice_->Look(UINT64_MAX));
    }
  }
  EXPECT_TRUE(advice_->Look(UINT64_MAX));
  EXPECT_FALSE(advice_->Look(UINT64_MAX)) << "nothing was touched since";
  EXPECT_EQ(AllPages(), kSubtrees);
}

TEST_P(HugeAdviceTest, SlabsAreHugeAtTheFirstTouch) {
  advice_->ExpectDense(3 * kSubtreeBytes + kPageBytes, kSubtreeBytes);
  EXPECT_FALSE(advice_->has_something_to_watch());
  EXPECT_FALSE(IsHuge(2));
  EXPECT_TRUE(IsHuge(3));
  EXPECT_TRUE(IsHuge(4));
  EXPECT_FALSE(IsHuge(5));
}

TEST_P(HugeAdviceTest, WhatFollowsDenseMemoryIsHugeAtTheFirstTouch) {
  EXPECT_GT(advice_->ExpectAnything(0, kBytes), 0u);
  Fill(0);
  Touch(1);  // where the program is now
  EXPECT_TRUE(advice_->Look(UINT64_MAX));
  // Seven times two subtrees.
  for (uint64_t subtree = 2; subtree < 16; ++subtree) EXPECT_TRUE(IsHuge(subtree)) << subtree;
  EXPECT_FALSE(IsHuge(16));
  EXPECT_EQ(Pages(1), 1u);
  EXPECT_EQ(Pages(0), kPagesPerSubtree);
  // [HUG-1] Nobody knows what of the huge pages is used, so that they alone are no evidence.
  EXPECT_TRUE(advice_->Look(UINT64_MAX));
  EXPECT_FALSE(IsHuge(17));
  // Memory in small pages on both sides is.
  Fill(16);
  EXPECT_TRUE(advice_->Look(UINT64_MAX));
  for (uint64_t subtree = 18; subtree < kSubtrees; ++subtree) {
    EXPECT_TRUE(IsHuge(subtree)) << subtree;
  }
}

TEST_P(HugeAdviceTest, AFilledBlockIsNearlyAllHugeFromTheFirstTouchOn) {
  EXPECT_GT(advice_->ExpectAnything(0, kBytes), 0u);
  uint64_t small = 0;
  for (uint64_t subtree = 0; subtree < kSubtrees; ++subtree) {
    if (!IsHuge(subtree)) ++small;
    Fill(subtree);
    (void)advice_->Look(UINT64_MAX);
  }
  EXPECT_LE(small, 3u);
}

TEST_P(HugeAdviceTest, FilledBlocksSideBySideAreNearlyAllHuge) {
  constexpr uint64_t kBlockBytes = 256 * kKiB;
  uint64_t small = 0;
  for (uint64_t at = 0; at < kBytes; at += kBlockBytes) {
    (void)advice_->ExpectAnything(at, kBlockBytes);
    if (at % kSubtreeBytes == 0 && !IsHuge(at / kSubtreeBytes)) ++small;
    std::memset(frames_->at(at), 1, kBlockBytes);
    (void)advice_->Look(UINT64_MAX);
  }
  EXPECT_LE(small, 4u);
}

// What the kernel says of a mapping's huge pages.
bool IsOneHugePage(const char* memory) {
  std::ifstream maps("/proc/self/smaps");
  const auto address = reinterpret_cast<uint64_t>(memory);
  uint64_t mapped = 0;
  for (std::string line; std::getline(maps, line);) {
    uint64_t begin;
    uint64_t end;
    uint64_t kib;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      mapped = begin <= address && address < end ? end - begin : 0;
    } else if (mapped != 0 && std::sscanf(line.c_str(), "AnonHugePages: %lu kB", &kib) == 1) {
      return kib * kKiB == mapped;
    }
  }
  return false;
}

TEST_P(HugeAdviceTest, WhatWasTouchedAllOverBecomesHuge) {
  EXPECT_GT(advice_->ExpectAnything(4 * kSubtreeBytes, 3 * kSubtreeBytes), 0u);
  for (uint64_t page = kPagesPerSubtree; page-- > 0;) Touch(6, page);
  Touch(4);
  EXPECT_FALSE(IsOneHugePage(frames_->at(6 * kSubtreeBytes)));
  EXPECT_TRUE(advice_->Look(0));
  EXPECT_FALSE(IsOneHugePage(frames_->at(6 * kSubtreeBytes))) << "none was allowed";
  EXPECT_TRUE(advice_->Look(1));
  EXPECT_TRUE(IsOneHugePage(frames_->at(6 * kSubtreeBytes)));
  for (uint64_t page = 0; page < kPagesPerSubtree; ++page) {
    ASSERT_EQ(*frames_->at(6 * kSubtreeBytes + page * kPageBytes), 1);
  }
  EXPECT_EQ(Pages(4), 1u);
}

TEST_P(HugeAdviceTest, WhatCameBackOrWasCutOffIsSmallAgain) {
  advice_->ExpectDense(0, kBytes);
  Fill(1);
  Fill(kSubtrees - 1);
  frames_->GiveBack(kSubtreeBytes - kPageBytes, 2 * kSubtreeBytes);
  advice_->GaveBack(kSubtreeBytes - kPageBytes, 2 * kSubtreeBytes);
  ASSERT_TRUE(frames_->Resize(range_, kBytes / 2).ok()) << LastError();
  advice_->Resized(kBytes);
  ASSERT_TRUE(frames_->Resize(range_, kBytes).ok()) << LastError();
  advice_->Resized(kBytes / 2);
  EXPECT_GT(advice_->ExpectAnything(0, kBytes), 0u);
  EXPECT_FALSE(IsHuge(1));
  EXPECT_FALSE(IsHuge(kSubtrees - 1));
  EXPECT_TRUE(IsHuge(kSubtrees / 2 - 1)) << "it stayed";
}

TEST_P(HugeAdviceTest, WhatWasLoadedStaysHugeAndGapsAreSmall) {
  advice_.reset();
  frames_->AdviseHuge(0, kBytes, true);
  for (const uint64_t subtree : {0, 1, 3, 50}) Fill(subtree);
  advice_.emplace(*frames_);
  EXPECT_TRUE(IsHuge(2)) << "a gap that is not worth a mapping";
  for (const uint64_t subtree : {4, 49, 51, 127}) EXPECT_FALSE(IsHuge(subtree)) << subtree;
}

// Between a look and what follows from it the heap may give memory back.
TEST_P(HugeAdviceTest, WhatWentAwaySinceItWasSeenBringsNoAdvice) {
  EXPECT_GT(advice_->ExpectAnything(0, kBytes), 0u);
  Fill(0);
  Fill(1);
  const HugeAdvice::Seen seen = advice_->See();
  frames_->GiveBack(0, 2 * kSubtreeBytes);
  advice_->GaveBack(0, 2 * kSubtreeBytes);
  EXPECT_TRUE(advice_->Act(seen, UINT64_MAX)) << "look again";
  EXPECT_FALSE(IsHuge(0));
  EXPECT_FALSE(IsHuge(2));
}

// [HUG-2] Each border is a mapping of the process.
TEST_P(HugeAdviceTest, AllMorselsTogetherHaveAFewBorders) {
  const auto count_mappings = [] {
    std::ifstream maps("/proc/self/maps");
    uint64_t lines = 0;
    for (std::string line; std::getline(maps, line);) ++lines;
    return lines;
  };
  const uint64_t before = count_mappings();
  // Twice as many as there may be.
  constexpr uint64_t kMorsels = 2 * HugeAdvice::kBordersMax / kSubtrees;
  std::vector<AddressRange> ranges;
  std::vector<std::unique_ptr<Frames>> frames;
  std::vector<std::unique_ptr<HugeAdvice>> advice;
  for (uint64_t morsel = 0; morsel < kMorsels; ++morsel) {
    ranges.push_back(ReserveAnywhere(kBytes));
    frames.push_back(std::make_unique<Frames>(*Frames::Open(false)));
    ASSERT_TRUE(frames.back()->Resize(ranges.back(), kBytes).ok()) << LastError();
    advice.push_back(std::make_unique<HugeAdvice>(*frames.back()));
    for (uint64_t subtree = 0; subtree < kSubtrees; subtree += 2) {
      advice.back()->ExpectDense(subtree * kSubtreeBytes, kSubtreeBytes);
    }
  }
  const uint64_t added = count_mappings() - before;
  EXPECT_GT(added, HugeAdvice::kBordersMax / 2);
  EXPECT_LT(added, HugeAdvice::kBordersMax + 8 * kMorsels);
  // Others may have them when these are gone.
  advice.clear();
  advice_->ExpectDense(0, kSubtreeBytes);
  EXPECT_TRUE(IsHuge(0));
}

TEST(HugeAdvice, NothingIsWatchedWhereTheHostGivesNoHugePages) {
  HugePages huge_pages;
  huge_pages.SetAnonymous("never");
  const Setting setting("MORSEL_FRAMES", "anonymous");
  AddressRange range = ReserveAnywhere(kBytes);
  Frames frames = *Frames::Open(false);
  ASSERT_TRUE(frames.Resize(range, kBytes).ok()) << LastError();
  HugeAdvice advice(frames);
  EXPECT_EQ(advice.ExpectAnything(0, kBytes), 0u);
  EXPECT_FALSE(advice.has_something_to_watch());
}

TEST(RangeSet, IsWhatAnArrayOfFlagsIs) {
  RangeSet set;
  std::vector<bool> flags(200);
  uint64_t random = 1;
  for (int step = 0; step < 4'000; ++step) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const uint64_t begin = (random >> 33) % 190;
    const uint64_t end = begin + (random >> 50) % 10;
    const bool adds = (random >> 62) % 2 == 0;
    adds ? set.Add(begin, end) : set.Remove(begin, end);
    for (uint64_t at = begin; at < end; ++at) flags[at] = adds;
    uint64_t before = UINT64_MAX;
    for (const auto& [from, to] : set.ranges()) {
      ASSERT_TRUE(from < to && (before == UINT64_MAX || before < from));
      before = to;
    }
    for (uint64_t at = 0; at < flags.size(); ++at) ASSERT_EQ(set.Has(at), flags[at]) << step;
    uint64_t next = begin;
    while (next < flags.size() && !flags[next]) ++next;
    ASSERT_EQ(set.Next(begin, flags.size()), next);
  }
}

}  // namespace
}  // namespace morsel::os
