// Kills the writer of a fine morsel again and again at random instants, over the same pool.
#include <gtest/gtest.h>

#include <cstdio>

#include "os/testing/scratch_testing.h"
#include "os/testing/seed_testing.h"
#include "tests/crash/fine/fine_morsel.h"
#include "tests/crash/random.h"
#include "tests/crash/rounds.h"
#include "tests/crash/shared_file.h"

namespace morsel::crash {
namespace {

constexpr uint64_t kKills = 200;
// The same journal, catalog and map below: what differs is how a pool is made and opened.
constexpr uint64_t kKillsInDirectory = 40;

class FineCrash : public testing::TestWithParam<PoolKind> {
 protected:
  void SetUp() override {
    ForceGranularity();
    const Findings findings = FindInChild([&] {
      const std::string why = MakeFinePool(pool_path_, GetParam());
      return why.empty() ? Findings() : Findings{why};
    });
    ASSERT_EQ(findings, Findings());
  }
  void TearDown() override {
    if (HasFailure()) scratch_.Keep();
  }

  /// Runs one writer and kills it at a random instant: often while it opens, else while it works.
  std::string KillWriter(Random& random) {
    const uint64_t seed = random.Any();
    const uint64_t steps = random.OneIn(5) ? random.Between(1, 3) : random.Logarithmic(4, 800);
    const std::chrono::nanoseconds delay(random.OneIn(5) ? random.Below(2'000'000)
                                                         : random.Below(100'000));
    log_->work.steps.SetTarget(log_->work.steps.value() + steps);
    Child writer([&] { return RunFineWriter(pool_path_, seed, 0, Lie::kNone, *log_); });
    return writer.KillAtTarget(log_->work.steps, delay);
  }

  Findings CheckPool(Random& random) {
    const uint64_t seed = random.Any();
    return FindInChild([&] { return CheckFine(pool_path_, {.seed = seed}, *log_); });
  }

  os::Scratch scratch_ = os::Scratch::InMemory();
  std::string pool_path_ = scratch_.At("pool");
  SharedFile<FineLog> log_{scratch_.At("log")};
};

TEST_P(FineCrash, KeepsItsPromisesWhenKilledAnywhere) {
  const uint64_t kills = Rounds(GetParam() == PoolKind::kCarved ? kKills : kKillsInDirectory);
  const uint64_t seed = FreshSeed();
  Random random(seed);
  uint64_t in_flight = 0;
  for (uint64_t round = 0; round < kills; ++round) {
    SCOPED_TRACE("MORSEL_SEED=" + std::to_string(seed) + " round " + std::to_string(round));
    const std::string end = KillWriter(random);
    in_flight += log_->work.IsInFlight();
    const Findings findings = CheckPool(random);
    ASSERT_EQ(end, "") << testing::PrintToString(findings);
    ASSERT_EQ(findings, Findings());
  }
  std::fprintf(stderr,
               "%lu steps, %lu changes cut off; operations of each kind:", log_->work.steps.value(),
               in_flight);
  for (const auto& count : log_->work.counts) std::fprintf(stderr, " %lu", count.load());
  std::fprintf(stderr, "\n");
  EXPECT_GT(in_flight, kills / 10) << "the instants missed what they are for";
}

INSTANTIATE_TEST_SUITE_P(, FineCrash, testing::Values(PoolKind::kCarved, PoolKind::kDirectory),
                         [](const auto& kind) {
                           return kind.param == PoolKind::kCarved ? "Carved" : "Directory";
                         });

}  // namespace
}  // namespace morsel::crash
