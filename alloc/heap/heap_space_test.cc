// How much space a heap takes for what is asked of it.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_testing.h"
#include "base/check.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kRootBytes = 4096;

class HeapSpaceTest : public testing::Test {
 protected:
  HeapSpaceTest() : memory_(kCapacityBytes) {
    FormatHeap(memory_.Place(size_bytes_), kRootBytes, persist_);
    Open();
  }

  // Opens the heap as a kill leaves it.
  void Open() {
    heap_.reset();
    Result<std::unique_ptr<Heap>> heap =
        Heap::Open(memory_.Place(size_bytes_), persist_, true, false);
    ASSERT_TRUE(heap) << LastError();
    heap_ = std::move(heap).value();
    heap_->range().set_enlarge([this](uint64_t size_bytes) -> Result<uint64_t> {
      size_bytes_ = size_bytes;
      return size_bytes;
    });
  }

  void* Allocate(uint64_t size_bytes) {
    const Result<void*> block = heap_->Allocate(size_bytes, kBlockBytesMin);
    MORSEL_CHECK(block);
    return *block;
  }

  // How many ranges the medium was told to flush, since the last call.
  uint64_t TakeFlushes() { return std::exchange(flushes_, 0); }

  static constexpr uint64_t kCapacityBytes = kGiB;

  uint64_t flushes_ = 0;
  pmem::PersistTable table_ = {
      .flush = [](void* test, const void*,
                  size_t) { ++static_cast<HeapSpaceTest*>(test)->flushes_; },
      .fence = [](void*) {}};
  pmem::Persist persist_{&table_, this};
  uint64_t size_bytes_ = kSubtreeBytes;
  HeapMemory memory_;
  std::unique_ptr<Heap> heap_;
};

TEST_F(HeapSpaceTest, SmallObjectsTakeLittleMoreThanTheirBytes) {
  constexpr uint64_t kObjects = 1'000'000;
  for (uint64_t i = 0; i < kObjects; ++i) Allocate(64);
  EXPECT_LE(size_bytes_, kObjects * 64 * 115 / 100);
  EXPECT_EQ(Findings(*heap_), "");
}

TEST_F(HeapSpaceTest, AChurnOfRandomSizesTakesAQuarterMoreAtMostAndDoesNotGrow) {
  constexpr uint64_t kLiveBytes = 256 * kMiB;
  constexpr uint64_t kAllocations = 600'000;
  std::mt19937_64 random(TestSeed(1));
  struct Object {
    void* block;
    uint64_t size_bytes;
  };
  std::vector<Object> objects;
  uint64_t live_bytes = 0;
  uint64_t first_bytes = 0;
  for (int churn = 0; churn < 10; ++churn) {
    for (uint64_t i = 0; i < kAllocations; ++i) {
      const uint64_t size_bytes = 16 + random() % (32 * kKiB - 15);
      while (live_bytes + size_bytes > kLiveBytes) {
        Object& object = objects[random() % objects.size()];
        heap_->Free(object.block);
        live_bytes -= object.size_bytes;
        object = objects.back();
        objects.pop_back();
      }
      void* const block = Allocate(size_bytes);
      // A program overwrites whatever an allocator may have stored in a free block.
      *static_cast<uint64_t*>(block) = i;
      objects.push_back({block, size_bytes});
      live_bytes += size_bytes;
    }
    if (churn == 0) first_bytes = size_bytes_;
  }
  EXPECT_LE(size_bytes_, kLiveBytes * 125 / 100);
  EXPECT_LE(size_bytes_, first_bytes + first_bytes / 50);
  EXPECT_EQ(Findings(*heap_), "");
}

// Slabs and extents of other shapes take the units that one class leaves, so that nothing grows.
TEST_F(HeapSpaceTest, EmptySlabsServeOtherShapes) {
  constexpr uint64_t kBytes = 32 * kMiB;
  uint64_t first_bytes = 0;
  for (const uint64_t size_bytes : {64u, 3000u, 48u, 30'000u, 190'000u, 700u, 64u * 1024u}) {
    std::vector<void*> blocks;
    for (uint64_t taken = 0; taken < kBytes; taken += size_bytes) {
      blocks.push_back(Allocate(size_bytes));
    }
    for (void* const block : blocks) heap_->Free(block);
    if (first_bytes == 0) first_bytes = size_bytes_;
    EXPECT_LE(size_bytes_, kBytes * 130 / 100) << size_bytes;
  }
  EXPECT_EQ(Findings(*heap_), "");
}

// In a full range, the first block of a class that needs a new slab must not make the heap look
// through all of its slabs. After a kill, each slab that is looked at is flushed; so a heap with
// ten times the slabs must not flush more.
TEST_F(HeapSpaceTest, TheFirstAllocationAfterAKillCostsNoMoreInALargeHeap) {
  std::vector<uint64_t> flushes;
  for (const uint64_t slabs : {uint64_t{400}, uint64_t{4000}}) {
    for (uint64_t i = 0; i < slabs * 64; ++i) Allocate(1000);
    // The range is full: the next slab makes it grow.
    const uint64_t before = size_bytes_;
    while (size_bytes_ == before) Allocate(64 * kKiB);
    heap_->StopTheWorld().FlushFrees();
    Open();
    (void)TakeFlushes();
    Allocate(20'000);
    flushes.push_back(TakeFlushes());
  }
  EXPECT_LE(flushes[1], flushes[0]);
}

// If the range cannot grow, the heap looks through everything before it says that there is no
// space.
TEST_F(HeapSpaceTest, SlabsLeftEmptyByAnEarlierProcessAreFoundBeforeNoSpace) {
  std::vector<void*> blocks;
  while (size_bytes_ < 64 * kMiB) blocks.push_back(Allocate(1000));
  heap_->StopTheWorld().FlushFrees();
  for (size_t i = blocks.size() * 9 / 10; i < blocks.size(); ++i) heap_->Free(blocks[i]);
  Open();
  heap_->range().set_enlarge(nullptr);
  EXPECT_NE(Allocate(4 * kMiB), nullptr);
  EXPECT_EQ(Findings(*heap_), "");
}

}  // namespace
}  // namespace morsel::alloc
