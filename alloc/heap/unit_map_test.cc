#include "alloc/heap/segments/unit_map.h"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_testing.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kRootBytes = 4096;

class UnitMapTest : public testing::Test {
 protected:
  void Make(uint64_t size_bytes, uint64_t capacity_bytes = 0, uint64_t base = TestBase()) {
    size_bytes_ = size_bytes;
    memory_.emplace(std::max(size_bytes, capacity_bytes), base);
    FormatHeap(memory_->Place(size_bytes), kRootBytes, pmem::VolatilePersist());
    Open();
  }

  void Open(bool read_only = false) {
    map_.emplace(header(), size_bytes_, pmem::VolatilePersist(), read_only, false);
  }

  HeapHeader* header() const { return reinterpret_cast<HeapHeader*>(memory_->base()); }
  uint64_t first_unit() const { return header()->first_unit; }

  uint64_t* WordOfRegion0(uint64_t unit) const {
    return reinterpret_cast<uint64_t*>(memory_->base() + header()->map_offset) + unit;
  }

  // Allocates an extent in the heap's order of steps.
  std::optional<uint64_t> Take(uint64_t count, uint64_t alignment = 1) {
    const Result<UnitIndex> place = map_->FindFreeUnits(UnitCount(count), alignment);
    if (!place) return std::nullopt;
    map_->PersistCleared();
    map_->SetHead(*place, UnitWord::Extent(UnitCount(count)), UnitCount(count));
    return place->value();
  }

  void Give(uint64_t head, uint64_t count) {
    map_->ClearHead(UnitIndex(head), UnitCount(count));
    map_->PersistCleared();
  }

  uint64_t HeadOf(uint64_t unit) {
    const Result<UnitIndex> head = map_->HeadOf(UnitIndex(unit));
    return head ? head->value() : ~uint64_t{0};
  }

  static constexpr uint64_t kNobody = ~uint64_t{0};
  std::optional<HeapMemory> memory_;
  std::optional<UnitMap> map_;
  uint64_t size_bytes_ = 0;
};

TEST_F(UnitMapTest, FreeUnitsAreFoundFirstFitAndAlignedByAddress) {
  Make(16 * kMiB, 16 * kMiB, TestBase() + 3 * kSubtreeBytes);
  EXPECT_EQ(Take(1), first_unit());
  EXPECT_EQ(Take(3), first_unit() + 1);
  const uint64_t base = reinterpret_cast<uint64_t>(memory_->base()) / kUnitBytes;
  for (const uint64_t alignment : {2, 8, 32, 64, 128}) {
    const std::optional<uint64_t> unit = Take(1, alignment);
    ASSERT_TRUE(unit);
    EXPECT_EQ((base + *unit) % alignment, 0u);
  }
  Give(first_unit() + 1, 3);
  EXPECT_EQ(Take(255), std::nullopt);
  EXPECT_EQ(Take(2), first_unit() + 1);
  EXPECT_EQ(Take(1), first_unit() + 3);
}

TEST_F(UnitMapTest, FindsTheLastUnitAndNoneBehindIt) {
  Make(2 * kMiB, 4 * kMiB);
  const uint64_t free = 32 - first_unit();
  EXPECT_EQ(Take(free + 1), std::nullopt);
  EXPECT_EQ(Take(free), first_unit());
  EXPECT_EQ(Take(1), std::nullopt);
  EXPECT_EQ(map_->EndOfUsed().value().value(), 32u);
  map_->Grow(4 * kMiB);
  EXPECT_EQ(Take(32), 32u);
  EXPECT_EQ(Take(1), std::nullopt);
  EXPECT_FALSE(map_->IsFree(UnitIndex(63), UnitCount(2)).value());
}

TEST_F(UnitMapTest, ExtentsMayCrossRegions) {
  Make(3 * kGiB);
  // One extent ends where region 0 ends. The next begins in region 1 and crosses into region 2.
  const uint64_t first = Take(kUnitsPerRegion - 100 - first_unit()).value();
  const uint64_t to_the_end = Take(100).value();
  EXPECT_EQ(to_the_end + 100, kUnitsPerRegion);
  const uint64_t second = Take(kUnitsPerRegion + 500).value();
  EXPECT_GE(second, kUnitsPerRegion);
  const uint64_t end = second + kUnitsPerRegion + 500;
  for (int opened = 0; opened < 2; ++opened) {
    EXPECT_EQ(HeadOf(first), first);
    EXPECT_EQ(HeadOf(to_the_end - 1), first);
    EXPECT_EQ(HeadOf(to_the_end), to_the_end);
    EXPECT_EQ(HeadOf(kUnitsPerRegion - 1), to_the_end);
    EXPECT_EQ(HeadOf(second), second);
    EXPECT_EQ(HeadOf(2 * kUnitsPerRegion - 1), second);
    EXPECT_EQ(HeadOf(2 * kUnitsPerRegion), second);
    EXPECT_EQ(HeadOf(end - 1), second);
    EXPECT_EQ(HeadOf(end), kNobody);
    EXPECT_EQ(HeadOf(3 * kUnitsPerRegion), kNobody);
    EXPECT_EQ(HeadOf(0), kNobody);
    EXPECT_EQ(map_->NextHead(UnitIndex(0)).value().value(), first);
    EXPECT_EQ(map_->NextHead(UnitIndex(first + 1)).value().value(), to_the_end);
    EXPECT_EQ(map_->NextHead(UnitIndex(to_the_end + 1)).value().value(), second);
    EXPECT_EQ(map_->NextHead(UnitIndex(second + 1)).value().value(), map_->unit_count());
    EXPECT_EQ(map_->EndOfUsed().value().value(), end);
    Open();
  }
  // The freed extent's piece stays behind and counts for nothing.
  ASSERT_TRUE(map_->Build(UnitIndex(second)).ok());
  Give(second, kUnitsPerRegion + 500);
  for (int opened = 0; opened < 2; ++opened) {
    EXPECT_EQ(HeadOf(2 * kUnitsPerRegion), kNobody);
    EXPECT_TRUE(map_->IsFree(UnitIndex(2 * kUnitsPerRegion), UnitCount(500)).value());
    Open();
  }
  // It counts for nothing either when a shorter extent has the same head.
  EXPECT_EQ(Take(200), second);
  Open();
  EXPECT_EQ(HeadOf(2 * kUnitsPerRegion), kNobody);
}

TEST_F(UnitMapTest, ANewMapIsNotPlacedInTheUnitsThatAreFound) {
  Make(2 * kGiB);
  const uint64_t segment = Take(kUnitsPerRegion).value();
  const uint64_t map = reinterpret_cast<uint64_t*>(memory_->base() + header()->directory_offset)[1];
  EXPECT_NE(map, 0u);
  EXPECT_TRUE(map + kMapUnits.value() <= segment || map >= segment + kUnitsPerRegion)
      << map << " " << segment;
  EXPECT_TRUE(map_->IsRememberedAsUsed(UnitIndex(map)).value());
}

TEST_F(UnitMapTest, IsFreePlacesAllMapsBeforeItLooks) {
  Make(2 * kGiB);
  ASSERT_TRUE(map_->Build(UnitIndex(0)).ok());
  // Region 1's map goes to the first free units, which are among those asked for.
  EXPECT_FALSE(map_->IsFree(UnitIndex(first_unit()), UnitCount(kUnitsPerRegion)).value());
}

TEST_F(UnitMapTest, ARegionBehindAFullOneBeginsWithItsOwnMap) {
  Make(2 * kGiB);
  EXPECT_EQ(Take(kUnitsPerRegion - first_unit()), first_unit());
  EXPECT_EQ(Take(1), kUnitsPerRegion + kMapUnits.value());
  EXPECT_EQ(HeadOf(kUnitsPerRegion), kNobody);
  // A region that goes away takes its map along.
  Give(kUnitsPerRegion + kMapUnits.value(), 1);
  EXPECT_TRUE(map_->Shrink(kGiB).ok());
  EXPECT_EQ(HeadOf(kUnitsPerRegion + 5), kNobody);
  map_->Grow(2 * kGiB);
  EXPECT_EQ(Take(1), kUnitsPerRegion + kMapUnits.value());
  EXPECT_EQ(map_->Shrink(kGiB).code(), Code::kBusy);
  EXPECT_EQ(map_->unit_count(), 2 * kUnitsPerRegion);
}

TEST_F(UnitMapTest, ResizedExtentsCoverTheirNewUnits) {
  Make(4 * kMiB);
  const uint64_t head = Take(10).value();
  map_->ResizeExtent(UnitIndex(head), UnitCount(10), UnitCount(4));
  EXPECT_EQ(HeadOf(head + 3), head);
  EXPECT_EQ(HeadOf(head + 4), kNobody);
  map_->PersistCleared();
  map_->ResizeExtent(UnitIndex(head), UnitCount(4), UnitCount(20));
  EXPECT_EQ(HeadOf(head + 19), head);
  EXPECT_EQ(Take(1), head + 20);
}

TEST_F(UnitMapTest, HeadsOfOneLineAreShortenedAndFreedTogether) {
  Make(4 * kMiB);
  const uint64_t head = Take(4).value();
  const uint64_t beside = Take(1).value();
  ASSERT_EQ(reinterpret_cast<uintptr_t>(WordOfRegion0(head)) / kLineBytes,
            reinterpret_cast<uintptr_t>(WordOfRegion0(beside)) / kLineBytes);
  map_->ResizeExtent(UnitIndex(head), UnitCount(4), UnitCount(2));
  map_->ClearHead(UnitIndex(beside), UnitCount(1));
  map_->PersistCleared();
  EXPECT_EQ(HeadOf(head + 1), head);
  EXPECT_EQ(HeadOf(head + 2), kNobody);
  EXPECT_EQ(HeadOf(beside), kNobody);
}

TEST_F(UnitMapTest, InvalidWordsAreCorrupt) {
  const uint64_t words[] = {
      1 | uint64_t{kClassCount} << 8,                 // a slab of no class
      UnitWord::Extent(UnitCount(0)).raw,             // an extent of no units
      UnitWord::Extent(UnitCount(60)).raw,            // it ends behind the heap's end
      UnitWord::Extent(UnitCount(~uint64_t{0})).raw,  //
      UnitWord::Piece(UnitCount(3)).raw,              // a piece where no region begins
      4,                                              // no known kind
      ~uint64_t{0},
  };
  for (const uint64_t word : words) {
    map_.reset();
    memory_.reset();
    Make(4 * kMiB);
    *WordOfRegion0(9) = word;
    EXPECT_EQ(map_->Build(UnitIndex(0)).code(), Code::kCorrupt) << word;
    EXPECT_NE(std::string(LastError()).find("unit 9"), std::string::npos);
    EXPECT_EQ(map_->FindFreeUnits(UnitCount(1), 1).error(), Code::kCorrupt);
  }
  map_.reset();
  memory_.reset();
  Make(4 * kMiB);
  // A head inside another extent is not read; a slab must be aligned to its class' length.
  *WordOfRegion0(9) = UnitWord::Extent(UnitCount(3)).raw;
  *WordOfRegion0(11) = UnitWord::Extent(UnitCount(1)).raw;
  EXPECT_EQ(map_->Build(UnitIndex(0)).code(), Code::kOk);  // covered words are not read
  *WordOfRegion0(0) = UnitWord::Extent(UnitCount(1)).raw;
  *WordOfRegion0(33) = UnitWord::Slab(kClassCount - 1).raw;
  Open();
  EXPECT_EQ(map_->Build(UnitIndex(0)).code(), Code::kCorrupt);
}

TEST_F(UnitMapTest, InvalidDirectoryWordsAreCorrupt) {
  for (const uint64_t word : {uint64_t{0} + 1, 2 * kUnitsPerRegion - 1, ~uint64_t{0}}) {
    map_.reset();
    memory_.reset();
    Make(2 * kGiB);
    reinterpret_cast<uint64_t*>(memory_->base() + header()->directory_offset)[1] = word;
    Open();
    EXPECT_EQ(map_->FindFreeUnits(UnitCount(1), 1).error(), Code::kCorrupt) << word;
  }
  map_.reset();
  memory_.reset();
  Make(3 * kGiB);
  uint64_t* const directory =
      reinterpret_cast<uint64_t*>(memory_->base() + header()->directory_offset);
  directory[1] = directory[2] = 50;
  Open();
  EXPECT_EQ(map_->FindFreeUnits(UnitCount(1), 1).error(), Code::kCorrupt);
}

TEST_F(UnitMapTest, LookingUpMakesNoMaps) {
  Make(3 * kGiB);
  EXPECT_EQ(HeadOf(2 * kUnitsPerRegion), kNobody);
  EXPECT_EQ(map_->NextHead(UnitIndex(0)).value().value(), map_->unit_count());
  EXPECT_EQ(map_->EndOfUsed().value().value(), first_unit());
  EXPECT_TRUE(map_->Shrink(kGiB).ok());
  const uint64_t* const directory =
      reinterpret_cast<uint64_t*>(memory_->base() + header()->directory_offset);
  EXPECT_EQ(directory[1] | directory[2], 0u);
}

TEST_F(UnitMapTest, TheLowestUnitsThatFitAreFoundWhereverTheyLie) {
  constexpr uint64_t kUnits = 2 * kUnitsPerRegion + 4096;
  Make(kUnits * kUnitBytes, 4 * kGiB, TestBase() + 5 * kSubtreeBytes);
  for (uint64_t region = 0; region < 3; ++region) {
    ASSERT_TRUE(map_->Build(UnitIndex(region * kUnitsPerRegion)).ok());
  }
  const auto lowest = [&](uint64_t count, uint64_t alignment) -> std::optional<uint64_t> {
    uint64_t run = 0;
    for (uint64_t end = 0; end < kUnits; ++end) {
      run = *map_->IsRememberedAsUsed(UnitIndex(end)) ? 0 : run + 1;
      const uint64_t begin = end + 1 - count;
      if (run >= count && map_->AlignedUnit(begin, alignment) == begin) return begin;
    }
    return std::nullopt;
  };
  std::mt19937_64 random(TestSeed(3));
  const auto below = [&](uint64_t limit) { return random() % limit; };
  std::vector<std::pair<uint64_t, uint64_t>> extents;
  for (int round = 0; round < 400 && !HasFailure(); ++round) {
    const uint64_t order = below(13);
    uint64_t count = (uint64_t{1} << order) + below(uint64_t{1} << order);
    uint64_t alignment = round % 3 == 0 ? uint64_t{1} << below(9) : 1;
    if (round % 3 == 1) count = alignment = uint64_t{1} << below(6);
    const std::optional<uint64_t> right = lowest(count, alignment);
    EXPECT_EQ(Take(count, alignment), right) << count << " aligned to " << alignment;
    if (right) extents.emplace_back(*right, count);
    if (right && below(8) < 5) continue;
    for (int i = 0; i < 3 && !extents.empty(); ++i) {
      std::swap(extents[below(extents.size())], extents.back());
      Give(extents.back().first, extents.back().second);
      extents.pop_back();
    }
  }
}

// A row of holes of one unit, and then room.
TEST_F(UnitMapTest, HolesThatAreTooShortCostNothing) {
  Make(kGiB, kGiB);
  std::vector<uint64_t> heads;
  for (int i = 0; i < 16'000; ++i) heads.push_back(*Take(1));
  for (size_t i = 0; i < heads.size(); i += 2) Give(heads[i], 1);
  uint64_t before = map_->nodes_read();
  EXPECT_EQ(Take(2), heads.back() + 1);
  EXPECT_EQ(Take(2, 2), (heads.back() + 4) / 2 * 2);
  EXPECT_EQ(Take(1), heads[0]);
  EXPECT_LE(map_->nodes_read() - before, 3 * 20u);
}

}  // namespace
}  // namespace morsel::alloc
