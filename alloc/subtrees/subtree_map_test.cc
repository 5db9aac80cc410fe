#include "alloc/subtrees/subtree_map.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/error.h"
#include "sim/model/crash_testing.h"

namespace morsel::alloc {
namespace {

using pmem::CrashMedium;
using pmem::ForEachKill;
using pmem::ForEachPowerCut;
using Access = SubtreeMap::Access;
using SubtreeList = std::vector<SubtreeIndex>;

constexpr SubtreeRole kHuge = SubtreeRole::kHuge;
constexpr SubtreeRole kGiant = SubtreeRole::kGiant;

uint64_t* Words(CrashMedium& medium) { return reinterpret_cast<uint64_t*>(medium.memory()); }

class SubtreeMapTest : public testing::Test {
 protected:
  // 4 subtrees before the first 1 GiB boundary, two giant ones, and 4 after them.
  static constexpr uint64_t kCount = 4 + 2 * 512 + 4;
  SubtreeMapTest() {
    SubtreeMap map = MapOn(medium_);
    map.Format();
    medium_.Settle();
  }
  static SubtreeMap MapOn(CrashMedium& medium) {
    return SubtreeMap(Words(medium), kCount, 4, medium.persist(), "pool 'test'");
  }
  static SubtreeMap Loaded(CrashMedium& medium, const std::vector<OwnerState>& owners,
                           Access access = Access::kWrite) {
    SubtreeMap map = MapOn(medium);
    map.Load(owners, access);
    return map;
  }
  static SubtreeList Take(SubtreeMap& map, uint64_t owner, SubtreeRole role, uint64_t size) {
    const Result<SubtreeList> subtrees = map.Reserve(role, size);
    EXPECT_TRUE(subtrees.has_value()) << LastError();
    map.Record(owner, role, *subtrees);
    return *subtrees;
  }
  static OwnerState Live(uint64_t size, SubtreeRole role = kHuge) {
    return {.is_live = true, .role = role, .size_subtrees = size};
  }
  static std::string Findings(const SubtreeMap& map) {
    std::string all;
    for (const std::string& finding : map.findings()) all += finding + "\n";
    return all;
  }

  CrashMedium medium_{kCount * sizeof(uint64_t)};
};

TEST_F(SubtreeMapTest, DecodeReturnsWhatWasEncodedAndRejectsFlippedBits) {
  for (const SubtreeWord& said : {SubtreeWord{kHuge, 1, 0}, SubtreeWord{kGiant, 65536, 512},
                                  SubtreeWord{kHuge, kOwnersMax, kPositionsMax - 1}}) {
    SubtreeWord read;
    ASSERT_TRUE(Decode(Encode(said), &read));
    EXPECT_EQ(read, said);
    for (int bit = 0; bit < 64; ++bit) {
      EXPECT_FALSE(Decode(Encode(said) ^ uint64_t{1} << bit, &read)) << bit;
    }
  }
  SubtreeWord read;
  EXPECT_FALSE(Decode(0, &read));
}

TEST_F(SubtreeMapTest, OwnersHaveTheirSubtreesInOrderAfterLoading) {
  SubtreeList first;
  SubtreeList second;
  {
    SubtreeMap map = Loaded(medium_, std::vector<OwnerState>(3));
    first = Take(map, 1, kHuge, 3);
    second = Take(map, 2, kGiant, 512);
    for (const SubtreeIndex more : Take(map, 1, kHuge, 4)) first.push_back(more);
    EXPECT_EQ(map.free_count(), kCount - 7 - 512);
  }
  SubtreeMap map = Loaded(medium_, {Live(7), Live(512, kGiant), {}});
  EXPECT_EQ(Findings(map), "");
  EXPECT_EQ(*map.Subtrees(1), first);
  EXPECT_EQ(*map.Subtrees(2), second);
  EXPECT_EQ(map.free_count(), kCount - 7 - 512);
  // The giant subtree has one word.
  EXPECT_EQ(second, SubtreeList{SubtreeIndex(4)});
  for (uint64_t i = 5; i < 4 + 512; ++i) EXPECT_EQ(Words(medium_)[i], 0u);
}

TEST_F(SubtreeMapTest, ReserveWithoutSpaceClaimsNothing) {
  SubtreeMap map = Loaded(medium_, std::vector<OwnerState>(3));
  EXPECT_EQ(map.Reserve(kHuge, kCount + 1).error(), Code::kNoSpace);
  EXPECT_EQ(map.Reserve(kGiant, 3 * 512).error(), Code::kNoSpace);
  EXPECT_EQ(map.free_count(), kCount);
  Take(map, 1, kHuge, 9);  // breaks the first group
  EXPECT_EQ(map.Reserve(kGiant, 2 * 512).error(), Code::kNoSpace);
  EXPECT_EQ(Take(map, 2, kGiant, 512), SubtreeList{SubtreeIndex(4 + 512)});
  const auto rest = map.Reserve(kHuge, map.free_count());
  ASSERT_TRUE(rest.has_value());
  EXPECT_EQ(map.Reserve(kHuge, 1).error(), Code::kNoSpace);
  EXPECT_NE(std::string(LastError()).find("pool 'test'"), std::string::npos);
  map.Cancel(kHuge, *rest);
  EXPECT_EQ(map.free_count(), kCount - 9 - 512);
}

TEST_F(SubtreeMapTest, StaleWordsAreFreeAndAreCleanedByAWriter) {
  {
    SubtreeMap map = Loaded(medium_, std::vector<OwnerState>(3));
    Take(map, 1, kHuge, 3);
    Take(map, 2, kGiant, 512);
  }
  medium_.Settle();
  // Owner 1 now has only one subtree; owner 2 was removed.
  const std::vector<OwnerState> owners = {Live(1), {}, {}};
  {
    SubtreeMap map = Loaded(medium_, owners, Access::kRead);
    EXPECT_EQ(map.free_count(), kCount - 1);
    EXPECT_NE(Words(medium_)[1], 0u) << "a reader changes nothing";
    EXPECT_NE(Words(medium_)[4], 0u) << "a reader changes nothing";
  }
  SubtreeMap map = Loaded(medium_, owners);
  EXPECT_EQ(map.free_count(), kCount - 1);
  const auto after = medium_.AfterPowerCut();
  for (uint64_t i = 1; i < kCount; ++i) EXPECT_EQ(Words(*after)[i], 0u);
}

// The catalog says durably that the owner is shorter before it calls Truncate(). Afterwards the
// owner gets other subtrees, while somebody else has those that it had.
TEST_F(SubtreeMapTest, StaleWordsAreGoneBeforeTheirSpaceIsGranted) {
  {
    SubtreeMap map = Loaded(medium_, std::vector<OwnerState>(3));
    Take(map, 1, kHuge, 2);
  }
  medium_.Settle();
  SubtreeMap map = Loaded(medium_, {Live(2), {}, {}});
  EXPECT_EQ(map.Truncate(1, kHuge, 1), SubtreeList{SubtreeIndex(1)});
  // These are reserved so that the next words lie on another line.
  const auto held = map.Reserve(kHuge, 3);
  ASSERT_TRUE(held.has_value());
  EXPECT_EQ(held->front(), SubtreeIndex(1));
  ForEachPowerCut(
      medium_, [&] { Take(map, 1, kHuge, 1); },
      [&](CrashMedium& after) {
        // The catalog may say one subtree still, or two already.
        EXPECT_EQ(Findings(Loaded(*after.AfterKill(), {Live(1), {}, {}})), "");
        const SubtreeMap grown = Loaded(after, {Live(2), {}, {}});
        EXPECT_EQ(Findings(grown).find("second time"), std::string::npos) << Findings(grown);
      });
  const auto after = medium_.AfterPowerCut();
  EXPECT_EQ(Findings(Loaded(*after, {Live(2), {}, {}})), "");
}

// A process is killed while it cleans words; the next one grants their space; then a power cut
// undoes what was only visible.
TEST_F(SubtreeMapTest, WhatReadsAsFreeAfterAKillIsMadeDurable) {
  {
    SubtreeMap map = Loaded(medium_, std::vector<OwnerState>(3));
    Take(map, 1, kHuge, 3);
  }
  medium_.Settle();
  SubtreeMap map = Loaded(medium_, {Live(3), {}, {}});
  ForEachKill(
      medium_, [&] { map.Truncate(1, kHuge, 1); },
      [&](CrashMedium& killed) {
        SubtreeMap next = Loaded(killed, {Live(1), {}, {}}, Access::kWriteAfterUnclean);
        EXPECT_EQ(Findings(next), "");
        const auto held = next.Reserve(kHuge, 3);  // the next words are on another line
        ForEachPowerCut(
            killed, [&] { Take(next, 1, kHuge, 2); },
            [&](CrashMedium& after) {
              const SubtreeMap grown = Loaded(after, {Live(3), {}, {}}, Access::kRead);
              EXPECT_EQ(Findings(grown).find("second time"), std::string::npos) << Findings(grown);
            });
      });
}

TEST_F(SubtreeMapTest, RecordAndTruncateCostTheirLinesAndOneFence) {
  SubtreeMap map = Loaded(medium_, std::vector<OwnerState>(3));
  const auto subtrees = map.Reserve(kHuge, 5);
  medium_.flushes = medium_.fences = 0;
  map.Record(1, kHuge, *subtrees);
  EXPECT_EQ(medium_.flushes, 5u);
  EXPECT_EQ(medium_.fences, 1u);
  map.Truncate(1, kHuge, 2);
  EXPECT_EQ(medium_.flushes, 8u);
  EXPECT_EQ(medium_.fences, 2u);
}

TEST_F(SubtreeMapTest, DamageIsReportedAndNothingIsGranted) {
  {
    SubtreeMap map = Loaded(medium_, std::vector<OwnerState>(3));
    Take(map, 1, kHuge, 3);
    Take(map, 2, kGiant, 512);
  }
  medium_.Settle();
  const std::vector<OwnerState> owners = {Live(3), Live(512, kGiant), {}};
  for (const uint64_t index : {0, 1, 2, 4}) {
    for (int bit = 0; bit < 65; ++bit) {
      const auto damaged = medium_.AfterKill();
      uint64_t& word = Words(*damaged)[index];
      word = bit == 64 ? 0 : word ^ uint64_t { 1 } << bit;  // 64: the whole word is lost
      SubtreeMap map = Loaded(*damaged, owners);
      EXPECT_NE(Findings(map), "");
      EXPECT_EQ(map.Subtrees(index == 4 ? 2 : 1).error(), Code::kCorrupt);
      EXPECT_TRUE(map.Subtrees(index == 4 ? 1 : 2).has_value()) << "the other one is whole";
      EXPECT_EQ(map.Reserve(kHuge, 1).error(), Code::kCorrupt);
    }
  }
}

TEST_F(SubtreeMapTest, WellFormedWordsThatContradictAreReported) {
  struct Case {
    uint64_t index;
    SubtreeWord word;
  };
  const std::vector<OwnerState> owners = {Live(3), Live(512, kGiant), {}};
  for (const Case& c : {Case{9, {kHuge, 1, 1}},            // a second time
                        Case{9, {kHuge, 4, 0}},            // no such owner
                        Case{9, {kGiant, 2, 0}},           // not at a boundary, and twice
                        Case{4 + 512 + 5, {kHuge, 1, 0}},  // twice
                        Case{4 + 512, {kGiant, 2, 0}}}) {  // twice
    CrashMedium medium(kCount * sizeof(uint64_t));
    {
      SubtreeMap map = Loaded(medium, std::vector<OwnerState>(3));
      Take(map, 1, kHuge, 3);
      Take(map, 2, kGiant, 512);
    }
    Words(medium)[c.index] = Encode(c.word);
    SubtreeMap map = Loaded(medium, owners);
    EXPECT_NE(Findings(map), "") << c.index;
    EXPECT_EQ(map.Reserve(kHuge, 1).error(), Code::kCorrupt);
  }
}

TEST_F(SubtreeMapTest, SubtreesOfADamagedSlotAreNotTouched) {
  {
    SubtreeMap map = Loaded(medium_, std::vector<OwnerState>(3));
    Take(map, 1, kHuge, 3);
  }
  std::vector<OwnerState> owners(3);
  owners[0].is_damaged = true;
  SubtreeMap map = Loaded(medium_, owners);
  EXPECT_NE(Findings(map).find("slot 0"), std::string::npos);
  EXPECT_EQ(map.Reserve(kHuge, 1).error(), Code::kCorrupt);
  for (int i = 0; i < 3; ++i) EXPECT_NE(Words(medium_)[i], 0u);
}

}  // namespace
}  // namespace morsel::alloc
