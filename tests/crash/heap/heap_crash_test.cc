// Kills the writer of a heap, which has up to eight threads, again and again. After each kill a
// naive model says who owns which bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "os/testing/scratch_testing.h"
#include "os/testing/seed_testing.h"
#include "tests/crash/heap/heap_file.h"
#include "tests/crash/random.h"
#include "tests/crash/rounds.h"
#include "tests/crash/shared_file.h"
#include "tests/crash/work_checker.h"
#include "tests/crash/writer.h"

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
    log_->work.steps.SetTarget(log_->work.steps.value() + steps);
    Child writer([&] { return Write(seed, 0, Lie::kNone); });
    return writer.KillAtTarget(log_->work.steps, delay);
  }

  int Write(uint64_t seed, uint64_t sessions, Lie lie) {
    HeapFile heap(path_, *log_);
    return RunWriter(heap, seed, sessions, lie);
  }

  Findings CheckAfter(uint64_t seed) {
    return FindInChild([&] {
      if (Findings failed = WriterFailed(log_->work.failure); !failed.empty()) return failed;
      HeapFile heap(path_, *log_);
      Findings findings = CheckWork(heap, {.seed = seed, .fresh_blocks = 100'000}, &*leak_);
      if (!findings.empty()) return findings;
      const std::string why = heap.Close();
      return why.empty() ? Findings() : Findings{why};
    });
  }

  /// What a liar's heap is found to be.
  Findings CheckLiar(Lie lie) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      Child writer([&] { return Write(seed, 1, lie); });
      EXPECT_EQ(writer.Wait(), "");
      if (Findings findings = CheckAfter(seed); !findings.empty()) return findings;
    }
    return {};
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string path_ = scratch_.At("heap");
  SharedFile<HeapLog> log_{scratch_.At("log")};
  SharedFile<Leak> leak_{scratch_.At("leak")};
};

// About 4 seconds of a processor.
TEST_F(HeapCrash, KeepsItsPromisesWhenKilledAnywhere) {
  const uint64_t seed = FreshSeed();
  Random random(seed);
  Leak most;
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
               log_->work.steps.value(), most.freed, most.never_linked, most.never_given,
               log_->work.giants.load());
  for (const auto& count : log_->work.counts) std::fprintf(stderr, " %lu", count.load());
  std::fprintf(stderr, "\n");
  if (log_->work.steps.value() < 3000) return;  // few rounds, and short ones
  // Else the instants missed what they are for.
  EXPECT_GT(most.freed, 0u);
  EXPECT_GT(most.never_linked, 0u);
}

TEST_F(HeapCrash, FindsNothingWhenTheWriterEndsByItself) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Child writer([&] { return Write(seed, 2, Lie::kNone); });
    EXPECT_EQ(writer.Wait(), "");
    EXPECT_EQ(CheckAfter(seed), Findings());
  }
  EXPECT_GT(log_->work.giants.load(), 0u);
}

TEST_F(HeapCrash, FindsFreeingBeforeUnlinking) {
  EXPECT_NE(CheckLiar(Lie::kFreesBeforeUnlinking), Findings());
}

TEST_F(HeapCrash, FindsABlockWithoutAnOwner) {
  const Findings findings = CheckLiar(Lie::kForgetsABlock);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_NE(findings[0].find("blocks are allocated that nobody was given"), std::string::npos)
      << findings[0];
}

TEST_F(HeapCrash, FindsWritingAfterFreeing) {
  EXPECT_NE(CheckLiar(Lie::kWritesAfterFreeing), Findings());
}

}  // namespace
}  // namespace morsel::crash
