// The bound on what a crash may leave allocated to nobody holds for all lives of a
// program together, not for each.
#include <gtest/gtest.h>

#include <cstring>
#include <utility>
#include <vector>

#include "alloc/heap.h"
#include "alloc/heap_testing.h"
#include "base/error.h"

namespace morsel::alloc {
namespace {

// Memory and what of it is durable: what was flushed when a fence came, and nothing else.
class Shadow {
 public:
  Shadow(char* memory, size_t size_bytes) : memory_(memory), durable_(size_bytes) {}

  pmem::Persist persist() {
    static constexpr pmem::PersistTable kTable = {
        .flush =
            [](void* shadow, const void* address, size_t size_bytes) {
              auto& to = *static_cast<Shadow*>(shadow);
              const uint64_t from =
                  static_cast<uint64_t>(static_cast<const char*>(address) - to.memory_);
              const uint64_t begin = AlignDown(from, kLineBytes);
              to.flushed_.emplace_back(begin, AlignUp(from + size_bytes, kLineBytes) - begin);
            },
        .fence =
            [](void* shadow) {
              auto& to = *static_cast<Shadow*>(shadow);
              for (const auto& [begin, size_bytes] : to.flushed_) {
                std::memcpy(&to.durable_[begin], to.memory_ + begin, size_bytes);
              }
              to.flushed_.clear();
            },
    };
    return {&kTable, this};
  }
  void CutPower() { std::memcpy(memory_, durable_.data(), durable_.size()); }

 private:
  char* memory_;
  std::vector<char> durable_;
  std::vector<std::pair<uint64_t, uint64_t>> flushed_;
};

TEST(HeapLives, WhatManyKillsLeaveAllocatedIsBoundedTogether) {
  constexpr uint64_t kBytes = 16 * kMiB;
  constexpr uint64_t kFreesOfALife = 60'000;
  constexpr int kLives = 4;
  const HeapMemory memory(kBytes);
  Shadow shadow(memory.base(), kBytes);
  const HeapPlace place = memory.Place(kBytes);
  Heap::Format(place, 64, shadow.persist());

  std::vector<void*> blocks;
  {
    auto heap = Heap::Open(place, shadow.persist(), /*fine=*/true, /*read_only=*/false);
    ASSERT_TRUE(heap) << LastError();
    for (uint64_t i = 0; i < 2 * kLives * kFreesOfALife; ++i) {
      blocks.push_back(*(*heap)->Allocate(16, 16));
    }
    ASSERT_TRUE((*heap)->Close().ok());
  }
  const uint64_t live = blocks.size() - kLives * kFreesOfALife;
  for (int life = 0; life < kLives; ++life) {
    auto heap = Heap::Open(place, shadow.persist(), /*fine=*/true, /*read_only=*/false);
    ASSERT_TRUE(heap) << LastError();
    // Every second block, so that no slab is emptied and given back.
    for (uint64_t i = 0; i < kFreesOfALife; ++i) {
      (*heap)->Free(blocks[2 * (static_cast<uint64_t>(life) * kFreesOfALife + i)]);
    }
    // Killed: no Close().
  }
  shadow.CutPower();
  auto heap = Heap::Open(place, shadow.persist(), /*fine=*/true, /*read_only=*/false);
  ASSERT_TRUE(heap) << LastError();
  const Result<uint64_t> live_bytes = (*heap)->LiveBytes();
  ASSERT_TRUE(live_bytes) << LastError();
  EXPECT_GE(*live_bytes, live * 16);
  EXPECT_LE(*live_bytes, (live + kFreesUnsettledMax) * 16);
}

}  // namespace
}  // namespace morsel::alloc
