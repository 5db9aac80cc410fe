// This library: a snapshot morsel by default options in a directory pool, through the C API. It is
// no longer young when it is measured: it has grown, was asked how full it is, has seen generations
// of threads that freed what the one before had left, and was checkpointed after each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "bench/adapters/opened_morsel.h"
#include "bench/block.h"
#include "bench/place.h"
#include "bench/random.h"
#include "morsel/morsel.h"

namespace bench {

class Adapter {
 public:
  static constexpr bool kFreesFromAnyThread = true;
  static constexpr bool kDurable = false;  // by object: a checkpoint is of all

  explicit Adapter(const Place& place) : opened_(WithoutHugetlb(place), PoolOptions(), Options()) {
    for (uint64_t checkpoint = 0; checkpoint < place.checkpoints; ++checkpoint) Age(checkpoint);
  }

  static std::string Version() { return ""; }  // the commit says it

  class Thread : public MorselThread {
   public:
    explicit Thread(Adapter& adapter) : MorselThread(adapter.opened_) {}
  };

 private:
  static constexpr size_t kThreads = 2;
  static constexpr size_t kBlocks = 500;  // that a thread leaves to its successor
  static constexpr size_t kSizeMaxBytes = 4096;
  static constexpr size_t kGrowthBytes = size_t{512} << 10;  // before each checkpoint

  // The rivals would have no such pages, where somebody has reserved some.
  static const Place& WithoutHugetlb(const Place& place) {
    setenv("MORSEL_FRAMES", "anonymous", 1);
    return place;
  }
  static morsel_pool_options PoolOptions() {
    morsel_pool_options options = {};
    options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
    return options;
  }
  static morsel_options Options() {
    morsel_options options = {};
    options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
    return options;
  }

  void Age(uint64_t generation) {
    std::vector<std::thread> threads;
    for (size_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([this, generation, thread] {
        Replace(blocks_[(generation + thread) % kThreads], generation * kThreads + thread);
      });
    }
    for (std::thread& thread : threads) thread.join();
    // Stays for good.
    Touch(morsel_malloc(opened_.get(), kGrowthBytes), generation);
    morsel_info info = {};
    info.struct_size = sizeof info;
    Must(morsel_stat(opened_.get(), &info));
    Must(morsel_checkpoint(opened_.get()));
  }

  void Replace(std::array<void*, kBlocks>& blocks, uint64_t seed) {
    Random random(seed);
    for (void*& block : blocks) {
      morsel_free(opened_.get(), block);
      block = morsel_malloc(opened_.get(), random.Between(16, kSizeMaxBytes));
      Touch(block, seed);
    }
  }

  OpenedMorsel opened_;
  std::array<std::array<void*, kBlocks>, kThreads> blocks_{};
};

}  // namespace bench
