// Frees of blocks of another thread's slabs, which are delayed: many become one store.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "alloc/heap/heap.h"
#include "alloc/heap/heap_testing.h"

namespace morsel::alloc {
namespace {

constexpr uint64_t kBytes = 32 * kMiB;

class HeapRemoteTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    FormatHeap(memory_.Place(kBytes), 4096, pmem::VolatilePersist());
    heap_ = Heap::Open(memory_.Place(kBytes), pmem::VolatilePersist(), GetParam(), false).value();
  }

  std::vector<void*> Blocks(size_t count, uint64_t size_bytes) {
    std::vector<void*> blocks(count);
    for (void*& block : blocks) block = heap_->Allocate(size_bytes, 16).value();
    return blocks;
  }
  // What is done in another thread, which has a slot.
  template <class Do>
  void InAnother(Do what) {
    std::thread([&] {
      heap_->Free(heap_->Allocate(5000, 16).value());
      what();
    }).join();
  }
  bool TryFree(void* block) { return Heap::TryFreeRemote(heap_.get(), block); }

  HeapMemory memory_{kBytes};
  std::unique_ptr<Heap> heap_;
};
INSTANTIATE_TEST_SUITE_P(EachContract, HeapRemoteTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Fine" : "Snapshot"; });

// Who frees what another thread has allocated meets neighbours of several sizes in turn.
TEST_P(HeapRemoteTest, NeighboursOfSeveralSizesAreFreedByAFewStores) {
  constexpr size_t kBlocks = 60;
  constexpr std::array<uint64_t, 4> kSizes = {16, 64, 320, 1024};
  std::array<std::vector<void*>, kSizes.size()> blocks;
  for (size_t i = 0; i < kSizes.size(); ++i) blocks[i] = Blocks(kBlocks, kSizes[i]);
  // The first unit of each slab, with its bits.
  const auto slabs = [&] {
    std::vector<char> bytes;
    for (const auto& of_size : blocks) {
      const char* const begin =
          reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(of_size[0]) & ~(kUnitBytes - 1));
      bytes.insert(bytes.end(), begin, begin + kUnitBytes);
    }
    return bytes;
  };
  InAnother([&] {
    int stores = 0;
    std::vector<char> before = slabs();
    for (size_t i = 0; i < kBlocks; ++i) {
      for (const auto& of_size : blocks) {
        heap_->Free(of_size[i]);
        std::vector<char> after = slabs();
        if (after != before) ++stores;
        before = std::move(after);
      }
    }
    EXPECT_LE(stores, 3 * static_cast<int>(kSizes.size()));
  });
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
  EXPECT_EQ(Findings(*heap_), "");
}

TEST_P(HeapRemoteTest, TheShortWayTakesNeighboursOfWhatWasFreedAlone) {
  const std::vector<void*> blocks = Blocks(500, 64);
  InAnother([&] {
    void* const own = heap_->Allocate(64, 16).value();
    EXPECT_FALSE(TryFree(blocks[0])) << "no neighbour was freed";
    size_t short_ones = 0;
    for (void* const block : blocks) {
      if (TryFree(block)) {
        ++short_ones;
      } else {
        heap_->Free(block);
      }
      EXPECT_FALSE(TryFree(block)) << "it is free";
      EXPECT_FALSE(TryFree(static_cast<char*>(block) + 16)) << "no block begins there";
    }
    EXPECT_GE(short_ones, blocks.size() * 9 / 10);
    EXPECT_FALSE(TryFree(own));
    EXPECT_FALSE(TryFree(nullptr));
    EXPECT_FALSE(Heap::TryFreeRemote(nullptr, own));
    heap_->Free(own);
  });
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
}

// No more bytes are freed that a power cut would bring back than were lent.
TEST(HeapRemoteBoundTest, TheShortWayEndsWhereFreesAreToBeFlushed) {
  static uint64_t fences;
  fences = 0;
  static constexpr pmem::PersistTable kCounting = {
      .flush = [](void*, const void*, size_t) {},
      .fence = [](void*) { ++fences; },
  };
  const HeapMemory memory(kBytes);
  const pmem::Persist persist(&kCounting, nullptr);
  FormatHeap(memory.Place(kBytes), 4096, persist);
  const auto heap = Heap::Open(memory.Place(kBytes), persist, true, false).value();
  std::vector<void*> blocks(8 * kMiB / 1024);
  for (void*& block : blocks) block = heap->Allocate(1024, 16).value();
  std::thread([&] {
    heap->Free(heap->Allocate(5000, 16).value());
    uint64_t unflushed_bytes = 0;
    for (void* const block : blocks) {
      const uint64_t before = fences;
      if (!Heap::TryFreeRemote(heap.get(), block)) heap->Free(block);
      unflushed_bytes = fences == before ? unflushed_bytes + 1024 : 0;
      ASSERT_LE(unflushed_bytes, FreeBudget::OfThreads(kBytes, false) / 2);  // of two threads
    }
  }).join();
}

// One allocates and others free, at the same time.
TEST_P(HeapRemoteTest, NothingIsLostWhileTheOwnerAllocates) {
  constexpr int kRounds = kSlowBuild ? 20 : 200;
  constexpr size_t kBlocks = 200;
  constexpr std::array<uint64_t, 3> kSizes = {32, 64, 512};
  std::array<std::atomic<std::vector<void*>*>, 2> handed{};
  std::vector<std::thread> others;
  for (auto& place : handed) {
    others.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        std::vector<void*>* blocks = nullptr;
        while ((blocks = place.exchange(nullptr)) == nullptr) std::this_thread::yield();
        for (void* const block : *blocks) {
          uint64_t owner = 0;
          std::memcpy(&owner, block, sizeof owner);
          EXPECT_EQ(owner, reinterpret_cast<uint64_t>(block));
          std::memset(block, 0, sizeof owner);
          if (!TryFree(block)) heap_->Free(block);
        }
        delete blocks;
      }
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    for (auto& place : handed) {
      auto* const blocks = new std::vector<void*>;
      for (size_t i = 0; i < kBlocks; ++i) {
        void* const block = heap_->Allocate(kSizes[i % kSizes.size()], 16).value();
        const uint64_t owner = reinterpret_cast<uint64_t>(block);
        std::memcpy(block, &owner, sizeof owner);
        blocks->push_back(block);
      }
      while (place.load() != nullptr) std::this_thread::yield();
      place.store(blocks);
    }
  }
  for (std::thread& other : others) other.join();
  EXPECT_EQ(heap_->StopAndRelease().LiveBytes().value(), 0u);
  EXPECT_EQ(Findings(*heap_), "");
}

}  // namespace
}  // namespace morsel::alloc
