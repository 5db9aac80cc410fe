// A guarded heap reports a program's mistakes, and its morsel is like any other.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "morsel/morsel.h"
#include "os/testing/scratch_testing.h"
#include "tests/crash/blocks.h"

namespace morsel {
namespace {

using crash::AllocatedBlocks;

// What AddressSanitizer would see before the guard does.
[[gnu::noinline, gnu::no_sanitize_address]] void Store(char* block, size_t at, char value) {
  *const_cast<volatile char*>(block + at) = value;
}
[[gnu::noinline, gnu::no_sanitize_address]] unsigned char Load(const char* block) {
  return static_cast<unsigned char>(*const_cast<const volatile char*>(block));
}

class GuardTest : public testing::Test {
 protected:
  void SetUp() override {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    setenv("PMEM2_FORCE_GRANULARITY", "CACHE_LINE", 1);
    setenv("MORSEL_GUARD", "1", 1);
    const morsel_pool_options carved = {sizeof carved, MORSEL_CREATE | MORSEL_CARVED, 0, 0,
                                        uint64_t{16} << 20};
    ASSERT_EQ(morsel_pool_open(scratch_.At("pool").c_str(), &carved, &pool_), MORSEL_OK)
        << morsel_last_error();
    Open();
  }
  void TearDown() override {
    Close();
    EXPECT_EQ(morsel_pool_close(pool_), MORSEL_OK);
  }
  void Open() {
    morsel_options fine = {};
    fine.struct_size = sizeof fine;
    fine.flags = MORSEL_CREATE | MORSEL_FINE;
    fine.capacity_bytes = uint64_t{64} << 20;
    ASSERT_EQ(morsel_open(pool_, "guarded", &fine, &morsel_), MORSEL_OK) << morsel_last_error();
  }
  void Close() {
    if (morsel_ == nullptr) return;
    ASSERT_EQ(morsel_close(morsel_), MORSEL_OK) << morsel_last_error();
    morsel_ = nullptr;
  }

  char* Make(size_t size) { return static_cast<char*>(morsel_malloc(morsel_, size)); }

  os::Scratch scratch_ = os::Scratch::InMemory();
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
};
using GuardDeathTest = GuardTest;

TEST_F(GuardDeathTest, ReportsADoubleFree) {
  char* const block = Make(40);
  morsel_free(morsel_, block);
  EXPECT_DEATH(
      morsel_free(morsel_, block),
      "free of 0x[0-9a-f]+, a block of 40 bytes \\(size class 64\\) that is not allocated: "
      "it was freed before");
  EXPECT_DEATH(morsel_realloc(morsel_, block, 100),
               "realloc of 0x[0-9a-f]+, a block of 40 bytes .* it was freed before");
  EXPECT_DEATH(morsel_usable_size(morsel_, block), "usable_size of .* it was freed before");
}

TEST_F(GuardDeathTest, ReportsADoubleFreeByAnotherThread) {
  char* const block = Make(3000);
  morsel_free(morsel_, block);
  EXPECT_DEATH(std::thread([&] { morsel_free(morsel_, block); }).join(), "it was freed before");
}

TEST_F(GuardDeathTest, ReportsAnInvalidFree) {
  char* const block = Make(100);
  EXPECT_DEATH(morsel_free(morsel_, block + 24),
               "free of 0x[0-9a-f]+, which is no block's start: it lies 24 bytes into a block of "
               "100 bytes at 0x[0-9a-f]+ \\(size class 128\\)");
  EXPECT_DEATH(morsel_free(morsel_, static_cast<char*>(morsel_base(morsel_)) + 64),
               "which is no block of the morsel");
}

TEST_F(GuardDeathTest, ReportsAnOverrunWhenTheBlockIsFreed) {
  char* const block = Make(40);
  EXPECT_DEATH(
      {
        Store(block, 40, 'A');
        morsel_free(morsel_, block);
      },
      "free of 0x[0-9a-f]+, a block of 40 bytes \\(size class 64\\): something wrote behind its "
      "end, 0x41 at offset 40");
  char* const large = Make(100'000);
  EXPECT_DEATH(
      {
        Store(large, 100'020, 1);
        morsel_free(morsel_, large);
      },
      "a block of 100000 bytes \\(size class 131072\\): something wrote behind its end, 0x01 at "
      "offset 100020");
}

TEST_F(GuardDeathTest, ReportsAnOverrunOfALiveBlockAtClose) {
  EXPECT_DEATH(
      {
        Store(Make(8), 9, 'B');
        (void)morsel_close(morsel_);
      },
      "a block of 8 bytes \\(size class 32\\): something wrote behind its end, 0x42 at offset 9");
}

TEST_F(GuardDeathTest, ReportsAWriteAfterFree) {
  char* const block = Make(40);
  morsel_free(morsel_, block);
  EXPECT_DEATH(
      {
        Store(block, 17, 'C');
        (void)morsel_close(morsel_);
      },
      "a block of 40 bytes at 0x[0-9a-f]+ \\(size class 64\\) was written after it was freed: "
      "0x43 at offset 17");
}

TEST_F(GuardTest, AFreedBlockIsPoisonedAndNotReused) {
  char* const block = Make(40);
  std::memset(block, 7, 40);
  morsel_free(morsel_, block);
  EXPECT_EQ(Load(block), 0xfd);
  for (int i = 0; i < 1000; ++i) {
    char* const other = Make(40);
    EXPECT_NE(other, block);
    morsel_free(morsel_, other);
  }
  EXPECT_EQ(morsel_set_root(morsel_, "freed", block), MORSEL_INVALID_ARGUMENT);
}

TEST_F(GuardTest, FreedBlocksThatAreKeptBackAreBounded) {
  for (int i = 0; i < 100'000; ++i) morsel_free(morsel_, Make(200));
  for (int i = 0; i < 40; ++i) {
    char* const large = Make(8 << 20);  // there is room for one
    ASSERT_NE(large, nullptr) << morsel_last_error();
    morsel_free(morsel_, large);
  }
  EXPECT_EQ(AllocatedBlocks(morsel_).size(), 0u);
}

TEST_F(GuardTest, UsableSizeIsTheSizeAskedFor) {
  char* const block = Make(40);
  EXPECT_EQ(morsel_usable_size(morsel_, block), 40u);
  std::memset(block, 9, 40);
  char* const moved = static_cast<char*>(morsel_realloc(morsel_, block, 41));
  EXPECT_EQ(morsel_usable_size(morsel_, moved), 41u);
  EXPECT_EQ(moved[39], 9);
  EXPECT_EQ(reinterpret_cast<uint64_t>(morsel_aligned_alloc(morsel_, 4096, 10)) % 4096, 0u);
  EXPECT_EQ(morsel_malloc(morsel_, ~size_t{0}), nullptr);
}

// Written with a guard, opened without one, and the reverse.
TEST_F(GuardTest, AMorselOpensWithAndWithoutTheGuard) {
  char* const block = Make(40);
  std::strcpy(block, "kept");
  ASSERT_EQ(morsel_persist(morsel_, block, 40), MORSEL_OK);
  ASSERT_EQ(morsel_set_root(morsel_, "block", block), MORSEL_OK);
  for (int i = 0; i < 100; ++i) morsel_free(morsel_, Make(70));
  Close();
  setenv("MORSEL_GUARD", "0", 1);
  Open();
  EXPECT_STREQ(static_cast<char*>(morsel_root(morsel_, "block")), "kept");
  EXPECT_EQ(AllocatedBlocks(morsel_).size(), 1u) << "what was kept in quarantine is not lost";
  char* const other = Make(24);
  Close();
  setenv("MORSEL_GUARD", "1", 1);
  Open();
  EXPECT_EQ(morsel_usable_size(morsel_, other), 32u);
  morsel_free(morsel_, other);
  EXPECT_DEATH(morsel_free(morsel_, other), "a block of 32 bytes .* it was freed before");
  morsel_free(morsel_, block);
  EXPECT_EQ(AllocatedBlocks(morsel_).size(), 0u);
}

TEST_F(GuardTest, OpenFailsWithAnotherValueOfTheVariable) {
  Close();
  setenv("MORSEL_GUARD", "yes", 1);
  EXPECT_EQ(morsel_open(pool_, "guarded", nullptr, &morsel_), MORSEL_INVALID_ARGUMENT);
  EXPECT_STREQ(morsel_last_error(),
               "MORSEL_GUARD is 'yes': set it to 1 to guard all blocks, to 0 to guard none");
}

TEST_F(GuardTest, ThreadsFreeBlocksOfEachOther) {
  std::vector<char*> blocks(2000);
  for (char*& block : blocks) block = Make(50);
  std::vector<std::thread> threads;
  for (size_t number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      for (size_t i = number; i < blocks.size(); i += 4) {
        morsel_free(morsel_, blocks[i]);
        blocks[i] = Make(60);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(AllocatedBlocks(morsel_).size(), blocks.size());
}

// The guard keeps blocks that were freed, which the heap still has: also while a walk goes on, for
// which the heap stands still.
TEST_F(GuardTest, AWalkPassesOverABlockThatIsFreedMeanwhile) {
  struct Walk {
    morsel_t* morsel;
    char* blocks[2];
    std::vector<void*> visited;
  } walk = {morsel_, {Make(50), Make(50)}, {}};
  if (walk.blocks[1] < walk.blocks[0]) std::swap(walk.blocks[0], walk.blocks[1]);
  const auto visit = [](void* block, size_t, void* context) {
    auto* const on = static_cast<Walk*>(context);
    on->visited.push_back(block);
    if (block == on->blocks[0]) {
      std::thread([on] { morsel_free(on->morsel, on->blocks[1]); }).join();
    }
    return 0;
  };
  ASSERT_EQ(morsel_for_each_block(morsel_, visit, &walk), MORSEL_OK) << morsel_last_error();
  EXPECT_EQ(std::count(walk.visited.begin(), walk.visited.end(), walk.blocks[0]), 1);
  EXPECT_EQ(std::count(walk.visited.begin(), walk.visited.end(), walk.blocks[1]), 0);
}

// A timer's checkpoint while another thread stores. The progress callback stands for that thread:
// it runs in the middle of a checkpoint.
TEST_F(GuardTest, AStoreDuringACheckpointIsFound) {
  static char* stored = nullptr;
  static bool stores = false;
  morsel_pool_options pool_options{};
  pool_options.flags = MORSEL_CREATE;
  morsel_pool_t* pool = nullptr;
  ASSERT_EQ(morsel_pool_open(scratch_.At("directory").c_str(), &pool_options, &pool), MORSEL_OK);
  morsel_options options{};
  options.flags = MORSEL_CREATE;
  options.progress = [](const morsel_progress*, void*) {
    if (stores) Store(stored, 0, 'b');
  };
  morsel_t* snapshot = nullptr;
  ASSERT_EQ(morsel_open(pool, "snapshot", &options, &snapshot), MORSEL_OK);
  stored = static_cast<char*>(morsel_malloc(snapshot, 100));
  std::memset(stored, 'a', 100);
  EXPECT_EQ(morsel_checkpoint(snapshot), MORSEL_OK);
  std::memset(stored, 'c', 100);
  EXPECT_DEATH(
      {
        stores = true;
        (void)morsel_checkpoint(snapshot);
      },
      "checkpoint of morsel 'snapshot'.*the program stored into the page at 0x");
  EXPECT_EQ(morsel_discard(snapshot), MORSEL_OK);
  EXPECT_EQ(morsel_pool_close(pool), MORSEL_OK);
}

TEST_F(GuardTest, WhatItKeepsOfFreedBlocksDoesNotKeepAMorselFromShrinking) {
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  ASSERT_EQ(morsel_resize(morsel_, 8 * kMiB), MORSEL_OK) << morsel_last_error();
  std::vector<char*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(Make(60'000));
  const auto last = std::max_element(blocks.begin(), blocks.end());
  ASSERT_GT(*last, static_cast<char*>(morsel_base(morsel_)) + 2 * kMiB);
  for (char* const block : blocks) morsel_free(morsel_, block);
  EXPECT_EQ(morsel_resize(morsel_, 2 * kMiB), MORSEL_OK) << morsel_last_error();
}

}  // namespace
}  // namespace morsel
