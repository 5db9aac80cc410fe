// What a checkpoint of a morsel in a directory knows to have changed.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "morsel/directory_pool.h"
#include "pmem/faults_testing.h"
#include "pmem/scratch_testing.h"

namespace morsel {
namespace {

namespace fs = std::filesystem;

class ImageBackingTest : public testing::Test {
 protected:
  std::unique_ptr<Backing> Create() {
    const Record wanted = {
        .name = "a", .capacity_bytes = 16 * kSubtreeBytes, .size_bytes = 4 * kSubtreeBytes};
    Result<std::unique_ptr<Backing>> made =
        pool_->Create(wanted, [](const Record& record, pmem::Persist) {
          *reinterpret_cast<uint64_t*>(record.base) = record.base;
        });
    EXPECT_TRUE(made.has_value()) << LastError();
    return made ? std::move(*made) : nullptr;
  }
  std::unique_ptr<Backing> Reopen() {
    Result<std::unique_ptr<Backing>> opened = pool_->Open("a", false);
    EXPECT_TRUE(opened.has_value()) << LastError();
    return opened ? std::move(*opened) : nullptr;
  }
  static uint64_t* WordsOf(const Backing& backing) {
    return reinterpret_cast<uint64_t*>(backing.record().base);
  }

  pmem::Scratch scratch_ = pmem::Scratch::OnDisk();
  std::string path_ = scratch_.At("p");
  std::unique_ptr<AbstractPool> pool_;
};

// [IBK-1] Each checkpoint fails at one of its calls; the next one has all that was stored since the
// last good one.
TEST_F(ImageBackingTest, AFailedCheckpointForgetsNoPage) {
  for (const char* const way : {"auto", "compare"}) {
    setenv("MORSEL_DIRTY", way, 1);
    for (int call = 0;; ++call) {
      fs::remove_all(path_);
      pmem::FaultyCalls calls;
      Result<std::unique_ptr<AbstractPool>> pool =
          DirectoryPool::Open(path_, {.create = true}, calls);
      ASSERT_TRUE(pool.has_value()) << LastError();
      pool_ = std::move(*pool);
      std::unique_ptr<Backing> morsel = Create();
      const uint64_t words = 4 * kSubtreeBytes / sizeof(uint64_t);
      std::vector<uint64_t> expected(words);
      const auto store = [&](uint64_t word, uint64_t value) {
        WordsOf(*morsel)[word] = value;
        expected[word] = value;
      };
      expected[0] = morsel->record().base;
      for (uint64_t word = 1; word < words; word += 64) store(word, word);
      ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
      store(700, 1);
      store(words - 1, 2);
      calls.FailOnce(call, ENOSPC);
      const bool failed = !morsel->Checkpoint(0).ok();
      const bool was_last = calls.count <= call;
      calls.Heal();
      store(words / 2, 3);
      // After a sync that failed only opening again helps.
      if (morsel->Checkpoint(0).ok()) {
        morsel.reset();
        morsel = Reopen();
        ASSERT_EQ(std::memcmp(WordsOf(*morsel), expected.data(), words * sizeof(uint64_t)), 0)
            << way << ", call " << call << (failed ? " failed" : "");
      } else {
        EXPECT_NE(std::strstr(LastError(), "earlier sync failed"), nullptr) << LastError();
      }
      morsel.reset();
      pool_.reset();
      if (was_last) break;
    }
  }
  unsetenv("MORSEL_DIRTY");
}

// What was cut off and came back is zero, though the image still has what was there.
TEST_F(ImageBackingTest, WhatIsCutOffAndComesBackIsDirty) {
  Result<std::unique_ptr<AbstractPool>> pool =
      DirectoryPool::Open(path_, {.create = true}, pmem::KernelCalls());
  ASSERT_TRUE(pool.has_value()) << LastError();
  pool_ = std::move(*pool);
  std::unique_ptr<Backing> morsel = Create();
  const uint64_t word = 3 * kSubtreeBytes / sizeof(uint64_t);
  WordsOf(*morsel)[word] = 7;
  ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
  ASSERT_TRUE(morsel->Resize(2 * kSubtreeBytes).ok()) << LastError();
  ASSERT_TRUE(morsel->Resize(4 * kSubtreeBytes).ok()) << LastError();
  ASSERT_TRUE(morsel->Checkpoint(0).ok()) << LastError();
  morsel.reset();
  morsel = Reopen();
  EXPECT_EQ(WordsOf(*morsel)[word], 0u);
}

}  // namespace
}  // namespace morsel
