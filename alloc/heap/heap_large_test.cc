// Large objects: from 1 MiB to many GiB.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_testing.h"
#include "base/check.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kRootBytes = 4096;

class HeapLargeTest : public testing::Test {
 protected:
  void Make(uint64_t size_bytes, uint64_t capacity_bytes, uint64_t base = TestBase(),
            bool is_guarded = false) {
    size_bytes_ = size_bytes;
    memory_.emplace(capacity_bytes, base);
    HeapPlace place = memory_->Place(size_bytes);
    place.guarded = is_guarded;
    FormatHeap(place, kRootBytes, pmem::VolatilePersist());
    heap_ = Heap::Open(place, pmem::VolatilePersist(), true, false).value();
  }

  void MayGrow() {
    heap_->range().set_enlarge([this](uint64_t size_bytes) -> Result<uint64_t> {
      size_bytes_ = size_bytes;
      return size_bytes;
    });
  }

  char* Allocate(uint64_t size_bytes) {
    const Result<void*> block = heap_->Allocate(size_bytes, kBlockBytesMin);
    return block ? static_cast<char*>(*block) : nullptr;
  }

  char* Reallocate(char* block, uint64_t size_bytes) {
    const Result<void*> result = heap_->Reallocate(block, size_bytes);
    MORSEL_CHECK(result);
    return static_cast<char*>(*result);
  }

  /// How many page faults the process may have. Under a sanitizer, those of its shadow memory are
  /// added.
  static constexpr uint64_t kFaultsPerGiB = kSlowBuild ? 1024 : 64;
  static constexpr uint64_t kFaultsOtherwise = kSlowBuild ? 4096 : 256;
  static uint64_t Faults() {
    rusage usage = {};
    MORSEL_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return static_cast<uint64_t>(usage.ru_minflt + usage.ru_majflt);
  }

  uint64_t size_bytes_ = 0;
  std::optional<HeapMemory> memory_;
  std::unique_ptr<Heap> heap_;
};

TEST_F(HeapLargeTest, FreedNeighboursJoin) {
  constexpr uint64_t kObjectBytes = 6 * kMiB;
  Make(kGiB, kGiB);
  std::vector<char*> objects;
  while (char* const object = Allocate(kObjectBytes)) objects.push_back(object);
  ASSERT_GE(objects.size() * kObjectBytes, kGiB - kObjectBytes);
  for (size_t i = 0; i < objects.size(); i += 2) heap_->Free(objects[i]);
  EXPECT_EQ(Allocate(2 * kObjectBytes), nullptr);
  for (size_t i = 1; i < objects.size(); i += 2) heap_->Free(objects[i]);
  EXPECT_NE(Allocate(objects.size() * kObjectBytes), nullptr);
  EXPECT_EQ(Findings(*heap_), "");
}

// The base need not be aligned to 1 GiB.
TEST_F(HeapLargeTest, GiantExtentsLieOnGiantBoundariesInARangeThatGrows) {
  for (const uint64_t offset : {uint64_t{0}, 6 * kMiB}) {
    heap_.reset();
    memory_.reset();
    Make(2 * kMiB, 8 * kGiB, TestBase() + offset);
    MayGrow();
    ASSERT_NE(Allocate(3 * kMiB), nullptr);
    for (const uint64_t size_bytes : {kGiB, 2 * kGiB - 100 * kMiB}) {
      char* const giant = Allocate(size_bytes);
      ASSERT_NE(giant, nullptr);
      EXPECT_TRUE(IsAligned(reinterpret_cast<uint64_t>(giant), kGiantBytes)) << size_bytes;
      EXPECT_GE(heap_->UsableBytes(giant), size_bytes);
      std::memset(giant + size_bytes - 64, 1, 64);
    }
    // The units before the first giant boundary serve smaller extents.
    const uint64_t size_bytes = size_bytes_;
    char* const huge = Allocate(100 * kMiB);
    ASSERT_NE(huge, nullptr);
    EXPECT_TRUE(IsAligned(reinterpret_cast<uint64_t>(huge), kSubtreeBytes));
    EXPECT_EQ(size_bytes_, size_bytes);
    EXPECT_EQ(Findings(*heap_), "");
  }
}

// Between blocks that are a little longer than whole subtrees nothing is left that only shorter
// ones could use.
TEST_F(HeapLargeTest, BlocksOfEverySizeFillTheRange) {
  constexpr uint64_t kBytes = 256 * kMiB;
  for (const uint64_t size_bytes : {2 * kMiB, 2 * kMiB + 1, 3 * kMiB, 4 * kMiB + 1, 5 * kMiB,
                                    7 * kMiB, 9 * kMiB + kUnitBytes, 17 * kMiB, 33 * kMiB}) {
    heap_.reset();
    memory_.reset();
    Make(kBytes, kBytes);
    uint64_t bytes = 0;
    while (Allocate(size_bytes) != nullptr) bytes += size_bytes;
    EXPECT_GE(bytes + size_bytes, kBytes / 8 * 7) << size_bytes;
    EXPECT_EQ(Findings(*heap_), "");
  }
}

// The map of each region has 32 pages, which are touched. No page of the object is.
TEST_F(HeapLargeTest, NoWorkIsDoneForEachPage) {
  constexpr uint64_t kGiBs = 24;
  Make((kGiBs + 2) * kGiB, (kGiBs + 2) * kGiB);
  const uint64_t before = Faults();
  char* object = Allocate(kGiBs * kGiB / 2);
  object = Reallocate(object, kGiBs * kGiB);
  heap_->Free(object);
  const uint64_t first = Faults();
  EXPECT_LE(first - before, kGiBs * kFaultsPerGiB + kFaultsOtherwise);
  object = Allocate(kGiBs * kGiB);
  ASSERT_NE(object, nullptr);
  object = Reallocate(object, 2 * kMiB);
  heap_->Free(object);
  EXPECT_LE(Faults() - first, kFaultsOtherwise);
  EXPECT_EQ(Findings(*heap_), "");
}

TEST_F(HeapLargeTest, ReallocStaysWhereTheUnitsBehindAreFree) {
  Make(64 * kMiB, 64 * kMiB);
  char* const object = Allocate(4 * kMiB);
  char* const behind = Allocate(4 * kMiB);
  char* const last = Allocate(4 * kMiB);
  ASSERT_EQ(behind, object + 4 * kMiB);
  std::memset(object, 7, 64);
  heap_->Free(behind);
  EXPECT_EQ(Reallocate(object, 8 * kMiB), object);
  // Another block gets the units that it gives up.
  EXPECT_EQ(Reallocate(object, 4 * kMiB), object);
  char* const other = Allocate(4 * kMiB);
  EXPECT_EQ(other, behind);
  // There is no room behind it, so it moves, and its old units are free.
  char* const moved = Reallocate(object, 6 * kMiB);
  EXPECT_GT(moved, last);
  EXPECT_EQ(std::count(moved, moved + 64, 7), 64);
  EXPECT_EQ(Allocate(4 * kMiB), object);
  EXPECT_EQ(Findings(*heap_), "");
}

TEST_F(HeapLargeTest, ReallocOfTheLastExtentLetsTheRangeGrow) {
  Make(2 * kMiB, 8 * kGiB);
  MayGrow();
  char* const object = Allocate(2 * kMiB);
  std::memset(object, 7, 2 * kMiB);
  // It grows like a vector that doubles. Copying would touch its pages.
  const uint64_t before = Faults();
  for (uint64_t size_bytes = 4 * kMiB; size_bytes <= 4 * kGiB; size_bytes *= 2) {
    ASSERT_EQ(Reallocate(object, size_bytes), object) << size_bytes;
  }
  EXPECT_LE(Faults() - before, 4 * kFaultsPerGiB + kFaultsOtherwise);
  EXPECT_LE(size_bytes_, 4 * kGiB + 200 * kMiB);
  EXPECT_EQ(std::count(object, object + 2 * kMiB, 7), static_cast<ptrdiff_t>(2 * kMiB));
  EXPECT_EQ(Findings(*heap_), "");
}

// The last extent is to become larger than any morsel, also by sizes that wrap when they are
// rounded up to units or added to the extent's place.
TEST_F(HeapLargeTest, ReallocBeyondTheCapacityChangesNothing) {
  constexpr uint64_t kCapacity = 256 * kMiB;
  for (const bool is_guarded : {false, true}) {
    Make(32 * kMiB, kCapacity, TestBase(), is_guarded);
    MayGrow();
    Allocate(20 * kMiB);
    char* const small = Allocate(64);
    char* const last = Allocate(10 * kMiB);
    std::memset(last, 7, 10 * kMiB);
    std::memset(small, 8, 64);
    const uint64_t place = static_cast<uint64_t>(last - memory_->base());
    const uint64_t size_bytes = heap_->range().size_bytes();
    for (const uint64_t middle : {kCapacity, uint64_t{1} << 48, uint64_t{1} << 63, uint64_t{0},
                                  uint64_t{0} - place, uint64_t{0} - kUnitBytes}) {
      for (const uint64_t asked : {middle - 1, middle, middle + 1, middle + kUnitBytes}) {
        if (asked <= kCapacity) continue;
        for (char* const block : {last, small}) {
          EXPECT_EQ(heap_->Reallocate(block, asked).error(), Code::kNoSpace) << asked;
          EXPECT_EQ(heap_->Allocate(asked, kBlockBytesMin).error(), Code::kNoSpace) << asked;
          EXPECT_EQ(heap_->Allocate(asked, kGiB).error(), Code::kNoSpace) << asked;
        }
        ASSERT_EQ(heap_->range().size_bytes(), size_bytes) << asked;
        ASSERT_EQ(size_bytes_, size_bytes) << asked;
      }
    }
    EXPECT_EQ(heap_->Reallocate(last, kCapacity).error(), Code::kNoSpace);
    EXPECT_GE(heap_->range().size_bytes(), size_bytes);
    EXPECT_TRUE(IsTrue(heap_->IsLive(last)));
    EXPECT_EQ(std::count(last, last + 10 * kMiB, 7), static_cast<ptrdiff_t>(10 * kMiB));
    EXPECT_EQ(std::count(small, small + 64, 8), 64);
    EXPECT_EQ(Findings(*heap_), "");
    heap_.reset();
    memory_.reset();
  }
}

// The heap's lock is held by this thread: a call that took it would wait for ever, and ends the
// process in a debug build.
TEST_F(HeapLargeTest, ReallocWithinAClassTakesNoLock) {
  Make(4 * kMiB, 4 * kMiB);
  for (const bool is_at_hand : {true, false}) {
    char* const block = Allocate(1000);
    if (!is_at_hand) heap_->StopTheWorld().FlushFrees();  // empties the thread's slot
    const auto lock = heap_->Lock();
    EXPECT_EQ(Reallocate(block, 1024), block);
    EXPECT_EQ(Reallocate(block, 600), block);
  }
}

}  // namespace
}  // namespace morsel::alloc
