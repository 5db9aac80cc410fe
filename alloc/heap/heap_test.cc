#include "alloc/heap/heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "alloc/heap/heap_testing.h"
#include "base/check.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kRootBytes = 4096;

class HeapTest : public testing::Test {
 protected:
  void Make(uint64_t size_bytes, uint64_t capacity_bytes = 0, uint64_t base = TestBase()) {
    size_bytes_ = size_bytes;
    memory_.emplace(std::max(size_bytes, capacity_bytes), base);
    FormatHeap(memory_->Place(size_bytes), kRootBytes, pmem::VolatilePersist());
    Open();
  }

  void Open(bool read_only = false) {
    heap_.reset();
    Result<std::unique_ptr<Heap>> heap =
        Heap::Open(memory_->Place(size_bytes_), pmem::VolatilePersist(), true, read_only);
    ASSERT_TRUE(heap) << LastError();
    heap_ = std::move(heap).value();
  }

  void Close() {
    MORSEL_CHECK(heap_->StopAndRelease().Close().ok());
    heap_.reset();
  }

  // Lets the range grow, up to `most_bytes`.
  void MayGrowTo(uint64_t most_bytes) {
    heap_->range().set_enlarge([this, most_bytes](uint64_t size_bytes) -> Result<uint64_t> {
      ++growths_;
      if (size_bytes > most_bytes) return Code::kNoSpace;
      size_bytes_ = size_bytes;
      return size_bytes;
    });
  }

  void* Allocate(uint64_t size_bytes, uint64_t alignment = 16) {
    const Result<void*> block = heap_->Allocate(size_bytes, alignment);
    if (!block) return nullptr;
    model_.Add(*heap_, *block, size_bytes, alignment);
    return *block;
  }

  void Free(void* block) {
    model_.Check(block);
    model_.Remove(block);
    heap_->Free(block);
  }

  void FreeAll() {
    while (!model_.empty()) Free(model_.owners().begin()->first);
  }

  void CheckAll() {
    model_.CheckAll(*heap_);
    EXPECT_EQ(Findings(*heap_), "");
    EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), model_.UsableBytes());
  }

  std::optional<HeapMemory> memory_;
  std::unique_ptr<Heap> heap_;
  OwnerModel model_;
  uint64_t size_bytes_ = 0;
  int growths_ = 0;
};

TEST_F(HeapTest, BlocksOfEveryClassAndAlignmentDoNotOverlap) {
  Make(256 * kMiB);
  for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
    for (uint64_t alignment = 1; alignment <= kBlockBytesMax; alignment *= 4) {
      ASSERT_NE(Allocate(BlockBytes(size_class), alignment), nullptr);
      ASSERT_NE(Allocate(BlockBytes(size_class) - 7, alignment), nullptr);
    }
  }
  for (uint64_t alignment = 2 * kBlockBytesMax; alignment <= 16 * kMiB; alignment *= 2) {
    ASSERT_NE(Allocate(100, alignment), nullptr);
    ASSERT_NE(Allocate(3 * kUnitBytes, alignment), nullptr);
  }
  CheckAll();
  FreeAll();
  CheckAll();
}

TEST_F(HeapTest, AddressesAreAlignedWhateverTheBaseIs) {
  Make(64 * kMiB, 64 * kMiB, TestBase() + kSubtreeBytes);
  for (uint64_t alignment = kUnitBytes; alignment <= 16 * kMiB; alignment *= 2) {
    ASSERT_NE(Allocate(kUnitBytes + 1, alignment), nullptr) << alignment;
  }
  CheckAll();
}

TEST_F(HeapTest, NoBytesAreStillABlock) {
  Make(4 * kMiB);
  void* const small = Allocate(0);
  void* const aligned = Allocate(0, 256 * kKiB);
  ASSERT_NE(small, nullptr);
  ASSERT_NE(aligned, nullptr);
  EXPECT_NE(small, aligned);
  CheckAll();
  Free(aligned);
  Free(small);
  CheckAll();
}

TEST_F(HeapTest, WrongArgumentsAndTooManyBytesFail) {
  Make(4 * kMiB);
  for (const uint64_t alignment : {uint64_t{0}, uint64_t{3}, uint64_t{48}, 2 * kGiB}) {
    EXPECT_EQ(heap_->Allocate(16, alignment).error(), Code::kInvalidArgument);
  }
  for (const uint64_t size_bytes : {4 * kMiB, 5 * kMiB, kGiB, ~uint64_t{0}}) {
    EXPECT_EQ(heap_->Allocate(size_bytes, 16).error(), Code::kNoSpace);
    EXPECT_NE(std::string(LastError()), "");
  }
  void* const block = Allocate(100'000);
  EXPECT_EQ(heap_->Reallocate(block, ~uint64_t{0}).error(), Code::kNoSpace);
  EXPECT_EQ(heap_->Allocate(16, kGiB).error(), Code::kNoSpace);
  EXPECT_NE(std::string(LastError()).find("however much is free"), std::string::npos);
  CheckAll();
}

TEST_F(HeapTest, ExtentsMayCrossRegions) {
  Make(4 * kGiB);
  void* const first = Allocate(kGiB - 3 * kMiB);
  void* const crossing = Allocate(kGiB + 5 * kUnitBytes, 4096);
  void* const two_regions = Allocate(kGiB / 2);
  ASSERT_NE(first, nullptr);
  ASSERT_NE(crossing, nullptr);
  ASSERT_NE(two_regions, nullptr);
  CheckAll();
  Close();
  Open();
  // The extent is found from every byte of it, also in a region where it has no head.
  char* const bytes = static_cast<char*>(crossing);
  for (uint64_t at = 0; at < kGiB + 5 * kUnitBytes; at += 3 * kMiB) {
    EXPECT_TRUE(IsTrue(heap_->IsLive(bytes + at)));
  }
  EXPECT_TRUE(IsTrue(heap_->IsLive(bytes + kGiB + 5 * kUnitBytes - 1)));
  EXPECT_FALSE(IsTrue(heap_->IsLive(bytes + kGiB + 5 * kUnitBytes)));
  CheckAll();
  Free(crossing);
  CheckAll();
  for (int i = 0; i < 5; ++i) {
    const uint64_t size_bytes = 300 * kMiB + static_cast<uint64_t>(i) * kUnitBytes;
    while (void* const more = Allocate(size_bytes)) (void)more;
    CheckAll();
    FreeAll();
  }
  CheckAll();
}

TEST_F(HeapTest, GiantExtentsLieOnGiantBoundariesWhereThereIsRoom) {
  Make(3 * kGiB, 8 * kGiB);
  void* const giant = Allocate(kGiB);
  ASSERT_NE(giant, nullptr);
  EXPECT_EQ(reinterpret_cast<uint64_t>(giant) % kGiantBytes, 0u);
  void* const huge = Allocate(6 * kMiB);
  EXPECT_EQ(reinterpret_cast<uint64_t>(huge) % kSubtreeBytes, 0u);
  CheckAll();
}

TEST_F(HeapTest, ANewMapIsNotPlacedInTheExtentThatNeedsIt) {
  // Regions 1 and 2 have no maps yet; a segment that reaches into them needs them.
  Make(3 * kGiB);
  void* const crossing = Allocate(2 * kGiB, 4096);
  ASSERT_NE(crossing, nullptr);
  CheckAll();
  Free(crossing);
  void* const before = Allocate(kGiB - 2 * kMiB, 4096);
  CheckAll();
  // It grows in place over the border of the regions.
  Result<void*> longer = heap_->Reallocate(before, kGiB + 40 * kMiB);
  ASSERT_TRUE(longer);
  model_.Remove(before);
  model_.Add(*heap_, *longer, kGiB + 40 * kMiB, 16);
  CheckAll();
}

TEST_F(HeapTest, AnExtentGrowsIntoARegionWithoutAMap) {
  Make(2 * kGiB);
  void* const extent = Allocate(kGiB - 64 * kMiB, 4096);
  const Result<void*> longer = heap_->Reallocate(extent, kGiB + 64 * kMiB);
  ASSERT_TRUE(longer);
  EXPECT_EQ(*longer, extent);
  model_.Remove(extent);
  model_.Add(*heap_, *longer, kGiB + 64 * kMiB, 16);
  while (void* const more = Allocate(64 * kMiB)) (void)more;
  while (void* const more = Allocate(kUnitBytes + 1)) (void)more;
  CheckAll();
}

TEST_F(HeapTest, ReallocKeepsTheBytesInPlaceAndMoved) {
  Make(16 * kMiB);
  std::mt19937_64 random(TestSeed(11));
  for (int i = 0; i < 2000; ++i) {
    const uint64_t before = 1 + random() % (1 << random() % 21);
    const uint64_t after = 1 + random() % (1 << random() % 21);
    void* const block = Allocate(before);
    ASSERT_NE(block, nullptr);
    // The model does not know which bytes realloc keeps, so the test writes and compares them
    // itself.
    std::memset(block, i & 255, before);
    const Result<void*> moved = heap_->Reallocate(block, after);
    ASSERT_TRUE(moved) << before << " to " << after << ": " << LastError();
    const char* const bytes = static_cast<char*>(*moved);
    EXPECT_TRUE(std::all_of(bytes, bytes + std::min(before, after),
                            [&](char byte) { return byte == static_cast<char>(i & 255); }));
    model_.Remove(block);
    model_.Add(*heap_, *moved, after, 16);
    if (random() % 2 == 0 || model_.owners().size() > 20) Free(model_.Any(random));
  }
  CheckAll();
  Close();
  Open();
  CheckAll();
}

TEST_F(HeapTest, ReallocToLessNeverFails) {
  Make(2 * kMiB);
  void* const block = Allocate(20'000);
  while (Allocate(kUnitBytes) != nullptr) {
  }
  while (Allocate(16) != nullptr) {
  }
  const Result<void*> same = heap_->Reallocate(block, 100);
  ASSERT_TRUE(same);
  EXPECT_EQ(heap_->Reallocate(block, 60'000).error(), Code::kNoSpace);
  CheckAll();
}

TEST_F(HeapTest, NoSpaceOnlyWhenThereIsNone) {
  Make(2 * kMiB);
  // The smallest blocks take all of it.
  uint64_t count = 0;
  while (heap_->Allocate(16, 16)) ++count;
  EXPECT_GT(count * 16, 31 * kUnitBytes * 95 / 100);
  EXPECT_EQ(Findings(*heap_), "");
  heap_.reset();
  std::memset(memory_->base(), 0, 2 * kMiB);
  FormatHeap(memory_->Place(2 * kMiB), kRootBytes, pmem::VolatilePersist());
  Open();
  // Where no new slab fits, a small block goes to a slab of larger blocks that has room.
  std::vector<void*> blocks;
  while (void* const block = Allocate(3000)) blocks.push_back(block);
  EXPECT_EQ(Allocate(kUnitBytes), nullptr);
  Free(blocks[5]);
  ASSERT_NE(Allocate(16), nullptr);
  EXPECT_EQ(Allocate(16), nullptr);
  CheckAll();
  // Empty slabs serve other shapes.
  FreeAll();
  for (const uint64_t size_bytes :
       {uint64_t{16}, uint64_t{700}, uint64_t{40'000}, 31 * kUnitBytes}) {
    for (int i = 0; i < 7; ++i) ASSERT_NE(Allocate(size_bytes / 10 + 1), nullptr);
    FreeAll();
    ASSERT_NE(Allocate(size_bytes), nullptr) << size_bytes;
    FreeAll();
  }
  CheckAll();
}

TEST_F(HeapTest, GrowsUpToTheLastSubtreeThatItGets) {
  Make(2 * kMiB, 64 * kMiB);
  MayGrowTo(10 * kMiB);
  while (Allocate(200'000) != nullptr) {
  }
  EXPECT_EQ(size_bytes_, 10 * kMiB);
  EXPECT_GT(growths_, 1);
  CheckAll();
  // With one more subtree there is room for one more extent of a subtree.
  MayGrowTo(12 * kMiB);
  ASSERT_NE(Allocate(2 * kMiB), nullptr);
  EXPECT_EQ(Allocate(2 * kMiB), nullptr);
  CheckAll();
  Close();
  Open();
  CheckAll();
}

TEST_F(HeapTest, GrowsByLessIfTheFreeTailHelps) {
  Make(4 * kMiB, 8 * kMiB);
  MayGrowTo(6 * kMiB);
  ASSERT_NE(Allocate(24 * kUnitBytes), nullptr);
  ASSERT_NE(Allocate(24 * kUnitBytes), nullptr);
  ASSERT_NE(Allocate(46 * kUnitBytes), nullptr);
  CheckAll();
}

TEST_F(HeapTest, ShrinksAndGrowsWithTheMapsOfRegions) {
  Make(kGiB, 4 * kGiB);
  for (int round = 0; round < 3; ++round) {
    {
      const auto held = heap_->Lock();
      heap_->range().Grow(3 * kGiB);
      size_bytes_ = 3 * kGiB;
    }
    void* const large = Allocate(kGiB + 200 * kMiB);
    void* const small = Allocate(100);
    ASSERT_NE(large, nullptr);
    {
      const auto stopped = heap_->StopTheWorld();
      EXPECT_EQ(stopped.Shrink(kGiB).code(), Code::kBusy);
    }
    CheckAll();
    Free(large);
    {
      const auto stopped = heap_->StopTheWorld();
      ASSERT_TRUE(stopped.Shrink(kGiB / 2).ok());
      size_bytes_ = kGiB / 2;
    }
    CheckAll();
    if (round == 1) {
      Close();
      Open();
    }
    EXPECT_EQ(Allocate(kGiB), nullptr);
    Free(small);
    CheckAll();
  }
}

TEST_F(HeapTest, ReadOnlyChangesNothing) {
  Make(2 * kGiB, 3 * kGiB);
  for (uint64_t size_bytes = 16; size_bytes < kMiB; size_bytes = size_bytes * 3 / 2) {
    Allocate(size_bytes);
  }
  heap_->StopTheWorld().FlushFrees();  // which puts back what is in magazines
  heap_.reset();                       // left in use
  ASSERT_EQ(mprotect(memory_->base(), 3 * kGiB, PROT_READ), 0);
  Open(true);
  CheckAll();
  MORSEL_CHECK(heap_->StopAndRelease().Close().ok());
  EXPECT_FALSE(IsTrue(heap_->IsLive(memory_->base() + kGiB + kMiB)));
}

TEST_F(HeapTest, OpenChecksTheHeader) {
  Make(2 * kMiB, 4 * kMiB);
  Close();
  const auto open = [&](const HeapPlace& place) {
    return Heap::Open(place, pmem::VolatilePersist(), true, false).error();
  };
  const HeapPlace place = memory_->Place(2 * kMiB);
  for (uint64_t offset :
       {offsetof(HeapHeader, magic), offsetof(HeapHeader, base), offsetof(HeapHeader, map_offset),
        offsetof(HeapHeader, checksum), offsetof(HeapHeader, state)}) {
    memory_->base()[offset] ^= 1;
    EXPECT_EQ(open(place), Code::kCorrupt) << offset;
    memory_->base()[offset] ^= 1;
  }
  memory_->base()[offsetof(HeapHeader, version)] ^= 2;
  EXPECT_EQ(open(place), Code::kVersion);
  memory_->base()[offsetof(HeapHeader, version)] ^= 2;
  HeapPlace other = place;
  other.id[3] ^= 1;
  EXPECT_EQ(open(other), Code::kCorrupt);
  other = place;
  other.size_bytes = 0;
  EXPECT_EQ(open(other), Code::kCorrupt);
  other.size_bytes = 6 * kMiB;
  EXPECT_EQ(open(other), Code::kCorrupt);
  EXPECT_EQ(open(place), Code::kOk);
}

class HeapDeathTest : public HeapTest, DeathsInFreshProcesses {};

TEST_F(HeapDeathTest, FreeingTwiceEndsTheProcess) {
  Make(4 * kMiB);
  for (const uint64_t size_bytes : {64, 5000, 100'000}) {
    void* const block = Allocate(size_bytes);
    void* const other = Allocate(size_bytes);
    Free(block);
    EXPECT_DEATH(heap_->Free(block), "free of 0x[0-9a-f]+, .*freed before|which is no block");
    EXPECT_DEATH((void)heap_->Reallocate(block, 10), "morsel: realloc of 0x");
    EXPECT_DEATH((void)heap_->Reallocate(block, ~uint64_t{0}), "morsel: realloc of 0x");
    EXPECT_DEATH((void)heap_->UsableBytes(block), "morsel: usable_size of 0x");
    Free(other);
    EXPECT_DEATH(heap_->Free(other), "morsel: free of 0x");
  }
}

// A block that is freed into a magazine is noticed, too, although its bit is still set.
TEST_F(HeapDeathTest, FreeingTwiceInARowEndsTheProcess) {
  Make(4 * kMiB);
  const char* const message = "morsel: free of 0x[0-9a-f]+, a block of 64 bytes .*freed before";
  // The first free in a slab clears the block's bit. The next ones go into the magazine. When that
  // is full, frees clear bits again.
  std::vector<void*> blocks(2 * Magazines::kPlacesMax);
  for (void*& block : blocks) block = heap_->Allocate(64, 16).value();
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (!Heap::TryFree(heap_.get(), blocks[i])) heap_->Free(blocks[i]);
    ASSERT_FALSE(Heap::TryFree(heap_.get(), blocks[i])) << i;
    if (i % 16 == 15) {
      EXPECT_DEATH(heap_->Free(blocks[i]), message) << i;
    }
  }
}

TEST_F(HeapDeathTest, FreeingTwiceByAnotherThreadEndsTheProcess) {
  Make(4 * kMiB);
  void* const first = Allocate(64);
  void* const block = Allocate(64);
  const auto free_as_another = [this](const std::vector<void*>& blocks) {
    std::thread([&] {
      heap_->Free(*heap_->Allocate(5000, 16));  // so that it has a slot
      for (void* const one : blocks) heap_->Free(one);
    }).join();
  };
  const char* const message = "morsel: free of 0x[0-9a-f]+, a block of 64 bytes .*freed before";
  EXPECT_DEATH(free_as_another({block, first, block}), message) << "one word";
  EXPECT_DEATH(free_as_another({block, Allocate(1000), block}), message) << "another between";
  free_as_another({block});
  EXPECT_DEATH(free_as_another({block}), message) << "two threads";
}

TEST_F(HeapDeathTest, FreeingWhatIsNoBlockEndsTheProcess) {
  Make(4 * kMiB, 8 * kMiB);
  char* const small = static_cast<char*>(Allocate(64));
  char* const large = static_cast<char*>(Allocate(200'000));
  CheckAll();  // which puts back what the magazines hold: free does not notice such a block
  void* const pointers[] = {small + 1,
                            small + 16,
                            small + 64,
                            large + 16,
                            large + kUnitBytes,
                            memory_->base(),
                            reinterpret_cast<void*>(reinterpret_cast<uint64_t>(small) & ~0xffff),
                            memory_->base() + 4 * kMiB,
                            memory_->base() + 8 * kMiB,
                            memory_->base() - 16,
                            this,
                            nullptr};
  for (void* const pointer : pointers) {
    EXPECT_DEATH(heap_->Free(pointer), "morsel: free of (0x[0-9a-f]+|.nil.), ") << pointer;
    EXPECT_FALSE(IsTrue(heap_->IsLive(pointer)) && pointer == this);
  }
  CheckAll();
}

TEST_F(HeapTest, RandomOperationsAgreeWithAModel) {
  for (const uint64_t seed : {TestSeed(1), FreshSeed()}) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    model_ = OwnerModel();
    heap_.reset();
    memory_.reset();
    Make(2 * kMiB, 64 * kMiB);
    MayGrowTo(48 * kMiB);
    const int operations = kSlowBuild ? 10'000 : 60'000;
    for (int i = 0; i < operations && !HasFatalFailure(); ++i) {
      const uint64_t kind = random() % 1000;
      if (kind < 520) {
        const uint64_t size_bytes = random() % (uint64_t{1} << random() % 19);
        const uint64_t alignment = uint64_t{1}
                                   << (random() % 8 == 0 ? random() % 20 : random() % 6);
        Allocate(size_bytes, alignment);
      } else if (kind < 940) {
        if (!model_.empty()) Free(model_.Any(random));
      } else if (kind < 995) {
        if (model_.empty()) continue;
        char* const block = model_.Any(random);
        const uint64_t size_bytes = 1 + random() % (uint64_t{1} << random() % 19);
        model_.Check(block);
        const Result<void*> moved = heap_->Reallocate(block, size_bytes);
        if (!moved) continue;
        model_.Remove(block);
        model_.Add(*heap_, *moved, size_bytes, 16);
      } else if (kind < 998) {
        heap_->StopTheWorld().FlushFrees();
      } else {
        if (random() % 2 == 0) {
          MORSEL_CHECK(heap_->StopAndRelease().Close().ok());
        } else {
          heap_->StopTheWorld().FlushFrees();  // or a kill would leave some freed blocks allocated
        }
        Open();
        MayGrowTo(48 * kMiB);
        CheckAll();
      }
    }
    CheckAll();
    Close();
    Open();
    CheckAll();
    FreeAll();
    CheckAll();
  }
}

}  // namespace
}  // namespace morsel::alloc
