// Kills the writer of a heap, which has up to eight threads, again and again. After each kill a
// naive model says who owns which bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "os/testing/scratch_testing.h"
#include "os/testing/seed_testing.h"
#include "tests/crash/heap/heap_checker.h"
#include "tests/crash/heap/heap_writer.h"
#include "tests/crash/random.h"
#include "tests/crash/rounds.h"
#include "tests/crash/shared_file.h"

namespace morsel::crash {
namespace {

constexpr uint64_t kKills = 16;

class HeapCrash : public testing::Test {
 protected:
  void TearDown() override {
    if (HasFailure()) scratch_.Keep();
  }

  std::string KillWriter(Random& random) {
    const uint64_t seed = random.Any();
    const uint64_t steps = random.OneIn(8) ? random.Between(1, 3) : random.Logarithmic(16, 8'000);
    const std::chrono::nanoseconds delay(random.Below(100'000));
    log_->steps.SetTarget(log_->steps.value() + steps);
    Child writer([&] { return RunHeapWriter(path_, seed, 0, HeapLie::kNone, *log_); });
    return writer.KillAtTarget(log_->steps, delay);
  }

  Findings CheckAfter(uint64_t seed) {
    return FindInChild([&] { return CheckHeap(path_, {.seed = seed}, *log_, &*leak_); });
  }

  /// What a liar's heap is found to be.
  Findings CheckLiar(HeapLie lie) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      Child writer([&] { return RunHeapWriter(path_, seed, 1, lie, *log_); });
      EXPECT_EQ(writer.Wait(), "");
      if (Findings findings = CheckAfter(seed); !findings.empty()) return findings;
    }
    return {};
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string path_ = scratch_.At("heap");
  SharedFile<HeapLog> log_{scratch_.At("log")};
  SharedFile<HeapLeak> leak_{scratch_.At("leak")};
};

// About 4 seconds of a processor.
TEST_F(HeapCrash, KeepsItsPromisesWhenKilledAnywhere) {
  const uint64_t seed = FreshSeed();
  Random random(seed);
  HeapLeak most;
  for (uint64_t round = 0; round < Rounds(kKills); ++round) {
    SCOPED_TRACE("MORSEL_SEED=" + std::to_string(seed) + " round " + std::to_string(round));
    const std::string end = KillWriter(random);
    *leak_ = {};
    const Findings findings = CheckAfter(random.Any());
    ASSERT_EQ(end, "") << testing::PrintToString(findings);
    ASSERT_EQ(findings, Findings());
    most = {std::max(most.freed, leak_->freed), std::max(most.never_linked, leak_->never_linked),
            std::max(most.never_given, leak_->never_given)};
  }
  std::fprintf(stderr,
               "%lu steps; after a kill at most %lu freed by a thread, %lu never linked, %lu never "
               "given; %lu giants; operations of each kind:",
               log_->steps.value(), most.freed, most.never_linked, most.never_given,
               log_->giants.load());
  for (const auto& count : log_->counts) std::fprintf(stderr, " %lu", count.load());
  std::fprintf(stderr, "\n");
  if (log_->steps.value() < 3000) return;  // few rounds, and short ones
  // Else the instants missed what they are for.
  EXPECT_GT(most.freed, 0u);
  EXPECT_GT(most.never_linked, 0u);
}

TEST_F(HeapCrash, FindsNothingWhenTheWriterEndsByItself) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Child writer([&] { return RunHeapWriter(path_, seed, 2, HeapLie::kNone, *log_); });
    EXPECT_EQ(writer.Wait(), "");
    EXPECT_EQ(CheckAfter(seed), Findings());
  }
  EXPECT_GT(log_->giants.load(), 0u);
}

TEST_F(HeapCrash, FindsFreeingBeforeUnlinking) {
  EXPECT_NE(CheckLiar(HeapLie::kFreesBeforeUnlinking), Findings());
}

TEST_F(HeapCrash, FindsABlockWithoutAnOwner) {
  const Findings findings = CheckLiar(HeapLie::kForgetsABlock);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_NE(findings[0].find("blocks are allocated that nobody was given"), std::string::npos)
      << findings[0];
}

TEST_F(HeapCrash, FindsWritingAfterFreeing) {
  EXPECT_NE(CheckLiar(HeapLie::kWritesAfterFreeing), Findings());
}

}  // namespace
}  // namespace morsel::crash
