// What must be durable before what: cases where one image that contradicts the order shows more
// than many incarnations, which might never meet it. Each test fails without the flush or the fence
// that it is about.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "alloc/heap/heap_crash_testing.h"
#include "alloc/heap/key_rounds_testing.h"
#include "alloc/heap/threads/free_budget.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kRootBytes = 4096;

class HeapOrderTest : public testing::Test {
 protected:
  void Make(uint64_t size_bytes, uint64_t capacity_bytes = 0) {
    size_bytes_ = size_bytes;
    memory_.emplace(std::max(size_bytes, capacity_bytes));
    FormatHeap(memory_->Place(size_bytes), kRootBytes, pmem::VolatilePersist());
    // Of large memory, record only the beginnings of regions, where maps and the first slabs are.
    std::vector<pmem::CrashRecorder::Span> spans;
    for (uint64_t at = 0; at < std::max(size_bytes, capacity_bytes); at += kRegionBytes) {
      spans.push_back({memory_->base() + at, std::min(2 * kMiB, size_bytes)});
    }
    recorder_.emplace(spans);
    Open();
  }

  void Open() {
    heap_ = Heap::Open(Place(), recorder_->persist(), true, false, FreeBudget(extents_)).value();
  }

  HeapPlace Place() const { return memory_->Place(size_bytes_); }
  HeapHeader* header() const { return reinterpret_cast<HeapHeader*>(memory_->base()); }

  char* Allocate(uint64_t size_bytes) {
    return static_cast<char*>(heap_->Allocate(size_bytes, 16).value());
  }
  void Persist(const void* block) {
    ASSERT_TRUE(heap_->Flush(block, 0).ok());
    heap_->Fence();
  }

  // Frees blocks until the thread flushes its frees, once. It frees more at a time than the
  // magazines hold.
  void FreeUntilFlushed() {
    bool flushed = false;
    recorder_->set_before_fence([&] { flushed = true; });
    std::vector<void*> blocks(8 * Magazines::kPlacesMax);
    for (uint64_t i = 0; i < 2 * kFreesUnflushedMax && !flushed; i += blocks.size()) {
      for (void*& block : blocks) block = Allocate(64);
      for (void* const block : blocks) {
        if (!flushed) heap_->Free(block);
      }
    }
    recorder_->set_before_fence(nullptr);
    EXPECT_TRUE(flushed);
  }

  // Opens a heap over each image that a power cut may leave now, and calls check(heap).
  void ForEachImage(const std::function<void(Heap&)>& check) {
    std::mt19937_64 random(TestSeed(1));
    recorder_->ForEachImage(64, random, [&] {
      const auto after = Heap::Open(Place(), pmem::VolatilePersist(), true, false);
      ASSERT_TRUE(after.has_value()) << LastError();
      check(**after);
    });
  }

  // A thread that has done nothing in the heap yet persists the block, which must then survive.
  void ExpectAnothersPersistKeeps(const void* block) {
    Worker other;
    other.Do([&] { Persist(block); });
    ForEachImage([&](Heap& after) { EXPECT_TRUE(*after.IsLive(block)); });
  }

  // No crash after flush() brings back an extent that was freed before.
  void ExpectAFreedExtentStaysFree(const std::function<void()>& flush) {
    Make(2 * kMiB);
    char* const extent = Allocate(3 * kUnitBytes);
    Persist(extent);
    heap_->Free(extent);
    flush();
    ForEachImage([&](Heap& after) { EXPECT_FALSE(*after.IsLive(extent)); });
  }

  uint64_t size_bytes_ = 0;
  std::optional<HeapMemory> memory_;
  std::optional<pmem::CrashRecorder> recorder_;
  std::unique_ptr<Heap> heap_;
  FreeBudget::Extents extents_ = FreeBudget::Extents::kWait;
};

// After a power cut, the medium must say that the heap was not closed.
TEST_F(HeapOrderTest, InUseIsDurableWhenOpenReturns) {
  Make(2 * kMiB);
  std::mt19937_64 random(TestSeed(1));
  recorder_->ForEachImage(64, random, [&] { EXPECT_EQ(header()->state, kHeapInUse); });
}

TEST_F(HeapOrderTest, CleanIsDurableWhenCloseReturns) {
  Make(2 * kMiB);
  Allocate(64);
  ASSERT_TRUE(heap_->StopAndRelease().Close().ok());
  heap_.reset();
  std::mt19937_64 random(TestSeed(1));
  recorder_->ForEachImage(64, random, [&] { EXPECT_EQ(header()->state, kHeapClean); });
}

// What an extent that began in region 0 has given up in region 1 is visible when the process is
// killed, and not durable. The next process allocates there, and searches from region 1 on.
TEST_F(HeapOrderTest, AKilledHeadIsGoneForASearchThatSkipsItsRegion) {
  for (const bool shortened : {false, true}) {
    SCOPED_TRACE(shortened);
    Make(2 * kGiB);
    Persist(Allocate(990 * kMiB));
    char* const before = Allocate(100 * kMiB);
    ASSERT_GT(before + 100 * kMiB, memory_->base() + kRegionBytes);
    Persist(before);
    if (shortened) {
      ASSERT_EQ(heap_->Reallocate(before, kMiB).value(), before);
    } else {
      heap_->Free(before);
    }
    heap_.reset();
    Open();
    char* const aligned = static_cast<char*>(heap_->Allocate(128 * kMiB, kRegionBytes).value());
    ASSERT_EQ(aligned, memory_->base() + kRegionBytes);
    Persist(aligned);
    ForEachImage([&](Heap& after) {
      EXPECT_EQ(*after.StopAndRelease().LiveBytes(), (990 + 128 + (shortened ? 1 : 0)) * kMiB);
      EXPECT_TRUE(IsTrue(after.IsLive(aligned + 127 * kMiB)));
      EXPECT_FALSE(IsTrue(after.IsLive(before + 2 * kMiB)));
      EXPECT_EQ(Findings(after), "");
    });
    heap_.reset();
    recorder_.reset();
  }
}

// A kill may leave the state visible. An open that reads "clean" does not flush the rest again.
TEST_F(HeapOrderTest, EverythingElseIsDurableBeforeTheStateIsClean) {
  Make(2 * kMiB);
  Allocate(64);
  Allocate(3 * kUnitBytes);
  bool seen = false;
  recorder_->set_before_fence([&] {
    if (header()->state != kHeapClean) return;
    recorder_->Observe();
    EXPECT_EQ(recorder_->undecided_lines(), 1u);
    seen = true;
  });
  ASSERT_TRUE(heap_->StopAndRelease().Close().ok());
  recorder_->set_before_fence(nullptr);
  EXPECT_TRUE(seen);
}

TEST_F(HeapOrderTest, AFreedExtentStaysFreeAfterFlushFrees) {
  ExpectAFreedExtentStaysFree([&] { heap_->StopTheWorld().FlushFrees(); });
}

TEST_F(HeapOrderTest, AFreedExtentStaysFreeAfterPersistAll) {
  ExpectAFreedExtentStaysFree([&] { heap_->StopTheWorld().PersistAll(); });
}

// More bytes than may come back.
TEST_F(HeapOrderTest, ALargeExtentThatIsFreedOrShortenedStaysSo) {
  extents_ = FreeBudget::Extents::kBounded;
  constexpr uint64_t kUnits = 12;
  for (const bool shortened : {false, true}) {
    SCOPED_TRACE(shortened);
    Make(2 * kMiB);
    char* const extent = Allocate(kUnits * kUnitBytes);
    Persist(extent);
    EXPECT_TRUE(!shortened || *heap_->Reallocate(extent, kUnitBytes) == extent);
    if (!shortened) heap_->Free(extent);
    ForEachImage([&](Heap& after) {
      EXPECT_EQ(IsTrue(after.IsLive(extent)), shortened);
      EXPECT_FALSE(IsTrue(after.IsLive(extent + kUnitBytes)));
    });
    heap_.reset();
    recorder_.reset();
  }
}

TEST_F(HeapOrderTest, EveryAllocatedByteIsDurableAfterPersistAll) {
  Make(2 * kMiB);
  auto* const small = reinterpret_cast<uint64_t*>(Allocate(64));
  auto* const large = reinterpret_cast<uint64_t*>(Allocate(3 * kUnitBytes));
  *small = 4711;
  large[2 * kUnitBytes / sizeof *large] = 4712;
  heap_->StopTheWorld().PersistAll();
  ForEachImage([&](Heap& after) {
    EXPECT_TRUE(*after.IsLive(small));
    EXPECT_TRUE(*after.IsLive(large));
    EXPECT_EQ(*small, 4711u);
    EXPECT_EQ(large[2 * kUnitBytes / sizeof *large], 4712u);
  });
}

// The extent's head lies on another line of the unit map than the slab's.
TEST_F(HeapOrderTest, ASlabIsMadeWhereNoHeadCanComeBack) {
  Make(8 * kMiB);
  char* const extent = Allocate(100 * kUnitBytes);
  Persist(extent);
  heap_->Free(extent);
  recorder_->set_before_fence(
      [&] { ForEachImage([&](Heap& after) { EXPECT_EQ(Findings(after), ""); }); });
  char* const block = Allocate(kBlockBytesMax);
  recorder_->set_before_fence(nullptr);
  EXPECT_GT(block, extent + 8 * kUnitBytes);
  EXPECT_LT(block, extent + 100 * kUnitBytes);
}

TEST_F(HeapOrderTest, RootsThatAKillLeftAreDurableWhenOpenReturns) {
  Make(2 * kMiB);
  auto* const word = static_cast<uint64_t*>(heap_->facts().root_table());
  pmem::Store(word, 4711);
  heap_.reset();  // as a kill
  Open();
  ForEachImage([&](Heap&) { EXPECT_EQ(*word, 4711u); });
}

// The thread that adopts a slab makes durable what a kill left in it, also for other threads that
// persist blocks of it afterwards.
TEST_F(HeapOrderTest, AnAdoptedSlabIsDurableForOtherThreadsToo) {
  Make(2 * kMiB);
  char* const block = Allocate(64);
  heap_.reset();  // as a kill: the block's bit is visible and not durable
  Open();
  Worker one;
  one.Do([&] { ASSERT_TRUE(*heap_->IsLive(block)); });
  ExpectAnothersPersistKeeps(block);
}

// The thread that makes a region's map need not be the one that persists what lies in the region.
TEST_F(HeapOrderTest, AMapIsDurableForOtherThreadsToo) {
  Make(2 * kGiB);
  Worker one;
  char* extent = nullptr;
  one.Do([&] {
    // Region 0 is full, and nothing crosses into region 1.
    Allocate(kSubtreeBytes - header()->first_unit * kUnitBytes);
    Allocate(kGiB - kSubtreeBytes);
    extent = Allocate(2 * kUnitBytes);
  });
  ASSERT_GE(extent, memory_->base() + kGiB);
  ExpectAnothersPersistKeeps(extent);
}

// A region's map may be made where a released slab lay. If the slab's head came back, over the
// map's zeroes, it would be a slab without a header.
TEST_F(HeapOrderTest, AMapIsMadeWhereNoHeadCanComeBack) {
  Make(32 * kMiB, 2 * kGiB);
  char* const block = Allocate(64);
  Persist(block);
  heap_->Free(block);
  heap_->StopTheWorld().FlushFrees();
  int asked = 0;
  heap_->range().set_enlarge([&](uint64_t size_bytes) -> Result<uint64_t> {
    if (++asked == 1) return Code::kNoSpace;  // so that empty slabs are released
    size_bytes_ = size_bytes;
    return size_bytes;
  });
  int images = 0;
  recorder_->set_before_fence([&] {
    ForEachImage([&](Heap& after) {
      EXPECT_EQ(Findings(after), "");
      ++images;
    });
  });
  ASSERT_NE(Allocate(100 * kMiB), nullptr);
  recorder_->set_before_fence(nullptr);
  EXPECT_EQ(asked, 2);
  EXPECT_GT(images, 0);
  const uint64_t* const directory =
      reinterpret_cast<uint64_t*>(memory_->base() + header()->directory_offset);
  EXPECT_EQ(directory[1], static_cast<uint64_t>(block - memory_->base()) / kUnitBytes)
      << "the map is elsewhere, and the test shows nothing";
}

// The pool may give the units that a heap gave up to another morsel, and give this heap zeroes when
// it grows again.
TEST_F(HeapOrderTest, NoSlabIsLeftBehindTheEndAfterShrink) {
  Make(4 * kMiB);
  Allocate(31 * kUnitBytes - static_cast<uint64_t>(Allocate(64) - memory_->base()));
  char* const behind = Allocate(1024);
  ASSERT_GE(behind, memory_->base() + 2 * kMiB);
  Persist(behind);
  heap_->Free(behind);
  {
    const StoppedWorld stopped = heap_->StopTheWorld();
    ASSERT_TRUE(stopped.Shrink(2 * kMiB).ok());
  }
  std::mt19937_64 random(TestSeed(1));
  recorder_->ForEachImage(64, random, [&] {
    std::memset(memory_->base() + 2 * kMiB, 0, 2 * kMiB);
    const auto after = Heap::Open(Place(), pmem::VolatilePersist(), true, false);
    ASSERT_TRUE(after.has_value()) << LastError();
    EXPECT_EQ(Findings(**after), "");
  });
}

TEST_F(HeapOrderTest, WhatAThreadFlushesIsDurableForOtherThreadsToo) {
  Make(2 * kMiB);
  Worker one;
  char* block = nullptr;
  one.Do([&] {
    block = Allocate(64);
    FreeUntilFlushed();
  });
  ExpectAnothersPersistKeeps(block);
}

TEST_F(HeapOrderTest, WhatAnEndingThreadHasFlushedIsDurableForOtherThreadsToo) {
  Make(2 * kMiB);
  Worker other;  // begun before: a thread may get the number of one that has ended
  other.Do([] {});
  char* const block = Allocate(3 * kUnitBytes);
  Worker().Do([&] { ASSERT_TRUE(heap_->Flush(block, 0).ok()); });
  other.Do([&] { Persist(block); });
  ForEachImage([&](Heap& after) { EXPECT_TRUE(*after.IsLive(block)); });
}

TEST_F(HeapOrderTest, WhatASearchForSpaceFlushesIsDurableForOtherThreadsToo) {
  Make(2 * kMiB);
  Worker one;
  char* block = nullptr;
  one.Do([&] {
    block = Allocate(64);
    EXPECT_EQ(heap_->Allocate(31 * kUnitBytes, 16).error(), Code::kNoSpace);
  });
  ExpectAnothersPersistKeeps(block);
}

TEST_F(HeapOrderTest, AHeadThatAThreadFlushesDoesNotComeBackForOtherThreads) {
  Make(8 * kMiB);
  Worker one;
  char* extent = nullptr;
  one.Do([&] {
    extent = Allocate(100 * kUnitBytes);
    Persist(extent);
    Allocate(64);  // it makes the slab now, so that no fence below is for that
    heap_->Free(extent);
    FreeUntilFlushed();
  });
  // Another thread opens the images, because nobody opens a heap while inside another.
  recorder_->set_before_fence([&] {
    std::thread([&] { ForEachImage([&](Heap& after) { EXPECT_EQ(Findings(after), ""); }); }).join();
  });
  char* const block = Allocate(kBlockBytesMax);
  recorder_->set_before_fence(nullptr);
  EXPECT_GE(block, extent);
  EXPECT_LT(block, extent + 100 * kUnitBytes);
}

// A thread notes so many lines for its next fence, and flushes those beyond at once. It does so
// with the heap's lock, or without it where another thread has asked for the same lines before.
TEST_F(HeapOrderTest, MoreLinesThanAThreadNotesAreDurableAfterItsFence) {
  for (const bool takes_lock : {true, false}) {
    Make(32 * kMiB);
    std::vector<char*> extents(160);
    for (char*& extent : extents) extent = Allocate(2 * kUnitBytes);
    const auto flush = [&] {
      for (char* const extent : extents) ASSERT_TRUE(heap_->Flush(extent, 0).ok());
    };
    Worker other;
    if (!takes_lock) other.Do(flush);
    flush();
    heap_->Fence();
    ForEachImage([&](Heap& after) {
      for (char* const extent : extents) EXPECT_TRUE(*after.IsLive(extent));
    });
    heap_.reset();
    recorder_.reset();
    memory_.reset();
  }
}

// A thread notes so many slabs of others in which it has freed something, and then flushes them.
TEST_F(HeapOrderTest, FreesInMoreSlabsThanAThreadNotesAreDurable) {
  constexpr uint64_t kSlabs = 4096 + 1;
  constexpr uint64_t kWatched = 16;  // slabs that lie in the memory that is recorded
  constexpr uint64_t kBlockBytes = 128;
  static_assert(kSlabs * kBlockBytes <
                FreeBudget::OfThreads(320 * kMiB, false) / 4);  // not yet full
  Make(320 * kMiB);
  std::vector<char*> blocks;  // the first of each slab
  Worker holder;
  holder.Do([&] {
    uint64_t last_unit = 0;
    while (blocks.size() < kSlabs) {
      char* const block = Allocate(kBlockBytes);
      const uint64_t unit = static_cast<uint64_t>(block - memory_->base()) / kUnitBytes;
      if (std::exchange(last_unit, unit) != unit) blocks.push_back(block);
    }
  });
  heap_->StopTheWorld().FlushFrees();  // the blocks are durable
  for (char* const block : blocks) heap_->Free(block);
  ForEachImage([&](Heap& after) {
    for (uint64_t i = 0; i < kWatched; ++i) EXPECT_FALSE(*after.IsLive(blocks[i])) << i;
  });
}

// A thread flushes the lines of its slabs in which something is free. While it waits for its fence,
// another thread frees blocks in a line that was full and was not flushed.
TEST_F(HeapOrderTest, AFreeByAnotherThreadMeanwhileMakesNoLineDurable) {
  Make(2 * kMiB);
  heap_.reset();  // as a kill, after which the first free of each thread is flushed at once
  Open();
  std::vector<char*> blocks;  // all of one slab
  const auto unit_of = [&](const char* block) {
    return static_cast<uint64_t>(block - memory_->base()) / kUnitBytes;
  };
  for (char* block = Allocate(64);; block = Allocate(64)) {
    if (!blocks.empty() && unit_of(block) != unit_of(blocks.front())) break;
    blocks.push_back(block);
  }
  // These lie in one line, in three words of it.
  ASSERT_GT(blocks.size(), 3 * kBlocksPerLine);
  char* const freed[] = {blocks[2 * kBlocksPerLine + 70], blocks[2 * kBlocksPerLine + 140]};
  char* const kept = blocks[2 * kBlocksPerLine + 20];
  std::atomic<int> step{0};
  const auto go_to = [&](int next) {  // lets the other thread go on, and waits for it
    step.store(next);
    while (step.load() != next + 1) std::this_thread::yield();
  };
  std::thread other([&] {
    const auto wait_for = [&](int wanted) {
      while (step.load() != wanted) std::this_thread::yield();
    };
    wait_for(1);
    heap_->Free(Allocate(64));
    step.store(2);
    wait_for(3);
    for (char* const block : freed) heap_->Free(block);
    step.store(4);
    wait_for(5);  // what an ending thread has freed is flushed
    step.store(6);
  });
  go_to(1);
  bool met = false;
  recorder_->set_before_fence([&] {
    if (!std::exchange(met, true)) go_to(3);
  });
  heap_->Free(blocks.front());
  recorder_->set_before_fence(nullptr);
  EXPECT_TRUE(met);
  Persist(kept);
  ForEachImage([&](Heap& after) { EXPECT_TRUE(*after.IsLive(kept)); });
  if (!met) go_to(3);
  go_to(5);
  other.join();
}

// In the destructors of pthread_key_create(3), in each round and between rounds, a thread has what
// it has elsewhere: what it flushed is durable with its fence, though the heap took the thread's
// end to be reached already, and another one has begun.
TEST_F(HeapOrderTest, WhatAnEndingThreadFlushesAndFencesIsDurable) {
  for (int flushed_in = 1; flushed_in < kKeyRounds; ++flushed_in) {
    for (const int fenced_in : {flushed_in, flushed_in + 1}) {
      SCOPED_TRACE("flushed in round " + std::to_string(flushed_in) + ", fenced in round " +
                   std::to_string(fenced_in));
      Make(2 * kMiB);
      std::vector<char*> blocks;
      KeyRounds rounds([&](int round) {
        if (round == flushed_in) {
          blocks = {Allocate(64), Allocate(3 * kUnitBytes)};
          for (char* const block : blocks) ASSERT_TRUE(heap_->Flush(block, 0).ok());
        }
        if (round != fenced_in) return;
        Worker other;  // it may have what the heap took from this thread
        other.Do([&] { Allocate(64); });
        heap_->Fence();
        ForEachImage([&](Heap& after) {
          for (char* const block : blocks) EXPECT_TRUE(*after.IsLive(block));
        });
      });
      std::thread([&] {
        rounds.Arm();
        Allocate(64);
      }).join();
      ASSERT_EQ(blocks.size(), 2u);
      heap_.reset();
    }
  }
}

}  // namespace
}  // namespace morsel::alloc
