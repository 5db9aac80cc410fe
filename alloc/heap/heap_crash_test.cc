#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstring>

#include "alloc/heap/heap_crash_testing.h"
#include "base/check.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kRootBytes = 4096;

class HeapCrashTest : public testing::Test {
 protected:
  void Make(uint64_t size_bytes, uint64_t capacity_bytes = 0) {
    world_.emplace(size_bytes, std::max(size_bytes, capacity_bytes));
    FormatHeap(world_->memory.Place(size_bytes), kRootBytes, pmem::VolatilePersist());
  }

  /// As Make(), but no byte of the units is zero, as after long use.
  void MakeDirty(uint64_t size_bytes, uint64_t capacity_bytes = 0) {
    Make(size_bytes, capacity_bytes);
    const uint64_t first =
        GeometryOf(std::max(size_bytes, capacity_bytes), kRootBytes).first_unit.value();
    std::memset(world_->memory.base() + first * kUnitBytes, 0xff,
                std::min(size_bytes, 4 * kMiB) - first * kUnitBytes);
  }

  /// In a heap of several regions, only bytes at the beginnings of regions can be lost. So nothing
  /// that matters may be stored elsewhere: there are no slabs, and the bytes of blocks are not
  /// checked.
  void WatchBeginningsOfRegions() {
    world_->spans.clear();
    for (uint64_t at = 0; at < world_->memory.Place(0).capacity_bytes; at += kRegionBytes) {
      world_->spans.push_back({world_->memory.base() + at, 3 * kMiB});
    }
    world_->fills = false;
    world_->fill_sizes = {64 * kMiB, 3 * kMiB};
    // No block is so small that region 1's map would find no room in the watched bytes.
    world_->sizes = {200'000, 40 * kMiB, 900 * kMiB, kGiB + 300 * kMiB};
  }

  void Begin(uint64_t seed = 1) {
    recorder_.emplace(world_->spans);
    life_.emplace(*world_, &*recorder_, CrashOwners(), 0, seed);
    life_->Open();
  }

  /// Tries many crashes at each crash point of the first incarnation.
  void CrashOften() {
    world_->images = kSlowBuild ? 2 : 24;
    world_->kill_points = kSlowBuild ? 8 : 1;
    world_->later_points = kSlowBuild ? 20 : 3;
  }

  void End() {
    if (!HasFailure()) life_->TakeAllFree();
    life_.reset();
    std::printf("%" PRIu64 " lives\n", world_->lives);
    recorder_.reset();
    world_.reset();
  }

  Heap& heap() { return life_->heap(); }

  std::optional<CrashWorld> world_;
  std::optional<pmem::CrashRecorder> recorder_;
  std::optional<CrashIncarnation> life_;
};

TEST_F(HeapCrashTest, FormatIsDurable) {
  world_.emplace(2 * kMiB, 2 * kMiB);
  pmem::CrashRecorder recorder(world_->spans);
  FormatHeap(world_->memory.Place(2 * kMiB), kRootBytes, recorder.persist());
  recorder.Observe();
  EXPECT_EQ(recorder.undecided_lines(), 0u);
}

TEST_F(HeapCrashTest, ASlabIsMadeInOrder) {
  MakeDirty(2 * kMiB);
  CrashOften();
  Begin();
  // Slabs are made on units that were never used, then on those of an extent, and then on those of
  // a slab of another class.
  life_->Persist(life_->Allocate(64));
  char* const extent = life_->Allocate(70'000);
  life_->owners()[extent].filled_end = life_->owners()[extent].filled_begin;
  std::memset(extent, 0xff, 70'000);
  recorder_->persist().Range(extent, 70'000);
  life_->Persist(extent);
  life_->Free(extent);
  char* const small = life_->Allocate(32);
  life_->Persist(small);
  char* const other = life_->Allocate(48);
  life_->Free(other);
  life_->Free(small);
  life_->Persist(life_->Allocate(1'900'000));
  End();
}

TEST_F(HeapCrashTest, UnitsGetANewHeadAfterTheOldOneIsGone) {
  Make(2 * kMiB);
  CrashOften();
  Begin();
  // The heads lie on several lines of the unit map. After they are freed, another extent covers
  // them.
  std::vector<char*> extents;
  for (int i = 0; i < 3; ++i) {
    extents.push_back(life_->Allocate(9 * kUnitBytes));
    life_->Persist(extents.back());
  }
  for (char* const extent : extents) life_->Free(extent);
  life_->Persist(life_->Allocate(28 * kUnitBytes));
  life_->Free(life_->Any());
  // An extent is shortened in place, and another gets the units that it gave up.
  char* const longer = life_->Allocate(20 * kUnitBytes);
  life_->Persist(longer);
  life_->Reallocate(longer, 9 * kUnitBytes);
  char* const behind = life_->Allocate(11 * kUnitBytes);
  EXPECT_EQ(behind, longer + 9 * kUnitBytes);
  life_->Persist(behind);
  // Then it is lengthened over what the other has freed.
  life_->Free(behind);
  life_->Reallocate(longer, 19 * kUnitBytes);
  life_->Persist(longer);
  // The persist() of this extent touches only its last byte.
  char* const last = life_->Allocate(10 * kUnitBytes);
  MORSEL_CHECK(heap().Flush(last + 10 * kUnitBytes - 1, 1).ok());
  heap().Fence();
  life_->owners()[last].live_durable = true;
  life_->Crash();
  End();
}

TEST_F(HeapCrashTest, KillThenPowerCut) {
  // This is visible and not durable when the process dies: the heads of freed extents, ...
  Make(2 * kMiB);
  Begin();
  char* const first = life_->Allocate(10 * kUnitBytes);
  char* const second = life_->Allocate(10 * kUnitBytes);
  life_->Persist(first);
  life_->Persist(second);
  // ... and the bits of blocks that were about to be linked.
  std::vector<char*> blocks;
  world_->crashes = false;
  for (int i = 0; i < 200; ++i) blocks.push_back(life_->Allocate(64));
  life_->Persist(blocks[0]);
  for (int i = 0; i < 300; ++i) blocks.push_back(life_->Allocate(64));
  world_->crashes = true;
  life_->Free(first);
  life_->Free(second);
  world_->lives_max = 2;
  world_->images = kSlowBuild ? 3 : 60;
  world_->operations_later = 0;
  for (const bool extent_first : {false, true}) {
    recorder_->WithMemory([&] {
      pmem::CrashRecorder recorder = recorder_->AfterKill();
      // Looking at a block adopts its slab; only allocating does not.
      const CrashOwners owners = extent_first ? CrashOwners() : life_->owners();
      std::thread([&] {
        CrashIncarnation next(*world_, &recorder, owners, 0, 5);
        next.Open();
        // Nobody has allocated from the slab since the kill, so persist() alone must make it
        // durable.
        if (!extent_first) {
          for (size_t i = 1; i < blocks.size(); i += 110) next.Persist(blocks[i]);
        }
        next.Persist(next.Allocate(19 * kUnitBytes));
        next.PowerCut(kSlowBuild ? 10 : 200);
      }).join();
    });
  }
  End();
}

TEST_F(HeapCrashTest, KillThenPowerCutOfADirectoryWord) {
  Make(2 * kGiB);
  WatchBeginningsOfRegions();
  world_->operations_later = 0;
  Begin();
  // The first extent that reaches into region 1 makes its map. The process is killed at any instant
  // of that. The next incarnation finds the map, or not, and persists such an extent.
  recorder_->set_before_fence([&] {
    recorder_->WithMemory([&] {
      pmem::CrashRecorder recorder = recorder_->AfterKill();
      std::thread([&] {
        CrashIncarnation next(*world_, &recorder, CrashOwners(), 1, 5);
        next.Open();
        next.Persist(next.Allocate(kGiB + 300 * kMiB));
        next.PowerCut(kSlowBuild ? 4 : 20);
      }).join();
    });
  });
  ASSERT_TRUE(heap().Allocate(kGiB + 300 * kMiB, 16));
  recorder_->set_before_fence(nullptr);
  End();
}

TEST_F(HeapCrashTest, CleanMeansDurable) {
  Make(2 * kMiB);
  world_->operations_later = 0;
  Begin();
  char* const extent = life_->Allocate(12 * kUnitBytes);
  char* const other = life_->Allocate(12 * kUnitBytes);
  char* const block = life_->Allocate(64);
  life_->Persist(extent);
  life_->Persist(other);
  life_->Free(extent);
  life_->Free(other);
  const CrashOwners owners = life_->owners();
  // A kill comes at any instant of a close; the next incarnation trusts what it finds; then comes a
  // power cut. This is tried with and without an incarnation in between that only opens and closes.
  const auto killed_here = [&] {
    recorder_->WithMemory([&] {
      pmem::CrashRecorder recorder = recorder_->AfterKill();
      std::thread([&] {
        CrashIncarnation next(*world_, &recorder, owners, 1, 5);
        next.Open();
        next.Close();
        next.PowerCut(kSlowBuild ? 4 : 20);
        next.Open();
        next.Persist(block);
        next.Persist(next.Allocate(23 * kUnitBytes));
        next.PowerCut(kSlowBuild ? 6 : 100);
      }).join();
    });
    recorder_->WithMemory([&] {
      pmem::CrashRecorder recorder = recorder_->AfterKill();
      std::thread([&] {
        CrashIncarnation next(*world_, &recorder, owners, 1, 5);
        next.Open();
        next.Persist(block);
        next.Persist(next.Allocate(23 * kUnitBytes));
        next.PowerCut(kSlowBuild ? 6 : 100);
      }).join();
    });
  };
  killed_here();
  recorder_->set_before_fence(killed_here);
  life_->Close();
  recorder_->set_before_fence(nullptr);
  killed_here();
  life_->Open();
  End();
}

TEST_F(HeapCrashTest, OnlyWhatWasFencedAfterItsFlushIsSkipped) {
  for (const uint64_t size_bytes : {uint64_t{64}, 10 * kUnitBytes}) {
    Make(2 * kMiB);
    world_->lives_max = 2;
    world_->crashes = false;  // only where PowerCut() is called
    Begin();
    // One thread has flushed and not fenced; the other has fenced and not flushed.
    std::array<Worker, 2> workers;
    char* const handed_over = life_->Allocate(size_bytes);
    workers[0].Do([&] { life_->Flush(handed_over); });
    workers[1].Do([&] { life_->Fence(); });
    workers[1].Do([&] { life_->Persist(handed_over); });
    life_->PowerCut(kSlowBuild ? 6 : 50);
    // A fence does not cover what was stored after the flush before it.
    char* const first = life_->Allocate(size_bytes);
    life_->Flush(first);
    char* const second = life_->Allocate(size_bytes);
    life_->Fence();
    life_->Persist(second);
    life_->PowerCut(kSlowBuild ? 6 : 50);
    End();
  }
}

TEST_F(HeapCrashTest, PiecesAreDurableBeforeTheirHead) {
  Make(2 * kGiB);
  WatchBeginningsOfRegions();
  Begin();
  life_->Allocate(kGiB - 600 * kMiB);
  CrashOften();
  for (int i = 0; i < 2; ++i) {
    char* const crossing = life_->Allocate(700 * kMiB);
    ASSERT_NE(crossing, nullptr);
    life_->Persist(crossing);
    life_->Free(crossing);
  }
  // An extent grows over the border in place, and is then shortened to end before it.
  char* const extent = life_->Allocate(100 * kMiB);
  life_->Persist(extent);
  life_->Reallocate(extent, 900 * kMiB);
  life_->Persist(extent);
  life_->Reallocate(extent, 200 * kMiB);
  life_->Persist(life_->Allocate(900 * kMiB));
  End();
}

TEST_F(HeapCrashTest, AMapIsZeroBeforeItIsFound) {
  MakeDirty(2 * kGiB);
  WatchBeginningsOfRegions();
  CrashOften();
  Begin();
  // The first segment that reaches into region 1 makes its map, where an extent has just been
  // freed.
  char* const freed = life_->Allocate(kUnitBytes + 1);
  life_->Persist(freed);
  life_->Free(freed);
  char* const extent = life_->Allocate(kGiB + 300 * kMiB);
  ASSERT_NE(extent, nullptr);
  life_->Persist(extent);
  life_->Free(extent);
  life_->Persist(life_->Allocate(900 * kMiB));
  life_->Persist(life_->Allocate(900 * kMiB));
  End();
}

TEST_F(HeapCrashTest, ShrinkForgetsMapsFirst) {
  Make(2 * kGiB);
  WatchBeginningsOfRegions();
  Begin();
  // Region 0 is full when region 1 gets its map, and stays so: that map must lie in region 1.
  world_->operations_later = 0;
  world_->crashes = false;
  const uint64_t first_unit = GeometryOf(2 * kGiB, kRootBytes).first_unit.value();
  life_->Persist(life_->Allocate(kSubtreeBytes - first_unit * kUnitBytes));
  life_->Persist(life_->Allocate(kGiB - kSubtreeBytes));
  char* const behind = life_->Allocate(kUnitBytes + 1);
  EXPECT_EQ(behind, world_->memory.base() + kGiB + kMapUnits.value() * kUnitBytes);
  life_->Persist(behind);
  CrashOften();
  world_->crashes = true;
  life_->Free(behind);
  life_->Resize(kGiB);
  EXPECT_EQ(world_->size_bytes, kGiB);
  // The pool may have given these units to another morsel, which writes there.
  std::memset(world_->memory.base() + kGiB, 0xee, kMiB);
  recorder_->persist().Range(world_->memory.base() + kGiB, kMiB);
  life_->Crash();
  std::memset(world_->memory.base() + kGiB, 0xee, kMiB);
  life_->Resize(2 * kGiB);
  life_->Persist(life_->Allocate(500 * kMiB));
  End();
}

TEST_F(HeapCrashTest, UnitsGivenUpByShrinkingHaveNoHeads) {
  Make(4 * kMiB);
  CrashOften();
  Begin();
  life_->Allocate(30 * kUnitBytes);
  char* const behind = life_->Allocate(20 * kUnitBytes);
  life_->Persist(behind);
  life_->Free(behind);
  life_->Resize(2 * kMiB);
  EXPECT_EQ(world_->size_bytes, 2 * kMiB);
  life_->Resize(4 * kMiB);
  life_->Persist(life_->Allocate(20 * kUnitBytes));
  End();
}

TEST_F(HeapCrashTest, FreedBlocksThatComeBackAreBounded) {
  Make(4 * kMiB);
  pmem::CrashRecorder recorder(world_->spans);
  const HeapPlace place = world_->memory.Place(4 * kMiB);
  std::unique_ptr<Heap> heap = Heap::Open(place, recorder.persist(), true, false).value();
  std::vector<void*> blocks;
  while (const Result<void*> block = heap->Allocate(16, 16)) blocks.push_back(*block);
  ASSERT_GT(blocks.size(), 3 * kFreesUnflushedMax);
  heap->StopTheWorld().FlushFrees();
  std::mt19937_64 random(TestSeed(5));
  std::shuffle(blocks.begin(), blocks.end(), random);
  uint64_t most = 0;
  for (uint64_t freed = 1; freed < blocks.size(); ++freed) {
    heap->Free(blocks[freed - 1]);
    if (freed % 16'384 != 16'383) continue;
    recorder.ForEachImage(3, random, [&] {
      std::thread([&] {
        const auto after = Heap::Open(place, pmem::VolatilePersist(), true, false).value();
        EXPECT_EQ(Findings(*after), "");
        const uint64_t live = after->StopAndRelease().LiveBytes().value() / 16;
        most = std::max(most, live - (blocks.size() - freed));
        for (uint64_t i = freed; i < blocks.size(); ++i)
          ASSERT_TRUE(IsTrue(after->IsLive(blocks[i])));
      }).join();
    });
  }
  EXPECT_LE(most, kFreesUnflushedMax);
  // Else the images show nothing.
  EXPECT_GT(most, FreeBudget::OfThreads(4 * kMiB, false) / 16 / 4);
}

TEST_F(HeapCrashTest, RandomLives) {
  for (const uint64_t seed : {TestSeed(1), FreshSeed()}) {
    SCOPED_TRACE(seed);
    Make(2 * kMiB);
    Begin(seed);
    for (int i = 0; i < (kSlowBuild ? 4 : 80) && !HasFailure(); ++i) life_->Operate();
    End();
  }
}

TEST_F(HeapCrashTest, RandomLivesThatGrowAndShrink) {
  const uint64_t seed = FreshSeed();
  Make(2 * kMiB, 4 * kMiB);
  world_->may_resize = true;
  world_->images = 3;
  Begin(seed);
  for (int i = 0; i < (kSlowBuild ? 4 : 80) && !HasFailure(); ++i) life_->Operate();
  End();
}

TEST_F(HeapCrashTest, RandomLivesOfBlocksHandedBetweenThreads) {
  const uint64_t seed = FreshSeed();
  Make(2 * kMiB);
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < 8; ++i) workers.push_back(std::make_unique<Worker>());
  Begin(seed);
  life_->UseWorkers(&workers);
  for (int i = 0; i < (kSlowBuild ? 8 : 100) && !HasFailure(); ++i) life_->Operate();
  life_->UseWorkers(nullptr);
  End();
}

}  // namespace
}  // namespace morsel::alloc
