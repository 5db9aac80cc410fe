#include "sim/cut/power_cut.h"

#include <gtest/gtest.h>
#include <libpmem2.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <set>
#include <thread>

#include "base/units.h"
#include "os/testing/scratch_testing.h"

namespace morsel::sim {
namespace {

/// Memory that all processes of a test share, as they would a file.
class PowerCutTest : public testing::Test {
 protected:
  PowerCutTest()
      : words_(static_cast<uint64_t*>(mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE,
                                           MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~PowerCutTest() override { munmap(words_, kPageBytes); }

  static void Flush(const uint64_t* word) { pmem2_get_flush_fn(nullptr)(word, sizeof *word); }
  static void Fence() { pmem2_get_drain_fn(nullptr)(); }

  void Watch() { PowerCut::Get().Watch(words_, kPageBytes); }

  static void InChild(const std::function<void()>& work) {
    const pid_t child = fork();
    if (child == 0) {
      work();
      _exit(1);  // it was to end before
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }

  uint64_t* words_;
};

TEST_F(PowerCutTest, OnlyWhatWasFlushedAndFencedIsLeft) {
  InChild([&] {
    Watch();
    words_[0] = 1;  // neither
    words_[8] = 2;
    Flush(&words_[8]);
    Fence();
    words_[8] = 3;
    words_[16] = 4;
    Flush(&words_[16]);
    PowerCut::Get().Cut();
  });
  EXPECT_EQ(words_[0], 0u);
  EXPECT_EQ(words_[8], 2u);
  EXPECT_EQ(words_[16], 0u);
}

TEST_F(PowerCutTest, AFenceOfAnotherThreadMakesNothingDurable) {
  InChild([&] {
    Watch();
    words_[0] = 1;
    Flush(&words_[0]);
    std::thread(Fence).join();
    PowerCut::Get().Cut();
  });
  EXPECT_EQ(words_[0], 0u);
}

TEST_F(PowerCutTest, BytesThatLibpmem2CopiesAndSetsAreDurableAfterItsFence) {
  const uint64_t value = 7;
  InChild([&] {
    Watch();
    pmem2_get_memcpy_fn(nullptr)(&words_[0], &value, 8, 0);
    pmem2_get_memset_fn(nullptr)(&words_[8], 1, 8, PMEM2_F_MEM_NODRAIN);
    PowerCut::Get().Cut();
  });
  EXPECT_EQ(words_[0], value);
  EXPECT_EQ(words_[8], 0u);
}

TEST_F(PowerCutTest, ImagesAreAllThatTheModelAllows) {
  std::set<std::pair<uint64_t, uint64_t>> images;
  for (uint64_t image = 0; image < 5; ++image) {
    words_[0] = words_[8] = 0;
    InChild([&] {
      Watch();
      words_[0] = 1;
      words_[8] = 2;
      PowerCut::Get().CutLeaving(image);
    });
    images.emplace(words_[0], words_[8]);
  }
  EXPECT_EQ(images, (std::set<std::pair<uint64_t, uint64_t>>{{0, 0}, {0, 2}, {1, 0}, {1, 2}}));
}

TEST_F(PowerCutTest, WhatWasUndecidedAtAKillIsLostWithTheNextPowerCut) {
  const os::Scratch scratch = os::Scratch::InMemory();
  const std::string kept = scratch.At("kept");
  InChild([&] {
    Watch();
    words_[0] = 1;
    words_[8] = 2;
    Flush(&words_[0]);
    PowerCut::Get().Kill(kept);
  });
  EXPECT_EQ(words_[0], 1u) << "a kill takes nothing away";
  InChild([&] {
    PowerCut::Get().WatchAfterKill(words_, kPageBytes, kept);
    Flush(&words_[8]);
    Fence();
    PowerCut::Get().Cut();
  });
  EXPECT_EQ(words_[0], 0u) << "the dead process's flush was never fenced";
  EXPECT_EQ(words_[8], 2u);
}

}  // namespace
}  // namespace morsel::sim
