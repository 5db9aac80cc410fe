// Kills the writer of a snapshot morsel again and again at random instants, over the same pool.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "os/testing/scratch_testing.h"
#include "os/testing/seed_testing.h"
#include "tests/crash/image/image_checker.h"
#include "tests/crash/image/image_pool.h"
#include "tests/crash/image/image_writer.h"
#include "tests/crash/random.h"
#include "tests/crash/rounds.h"
#include "tests/crash/shared_file.h"

namespace morsel::crash {
namespace {

constexpr uint64_t kKills = 120;
constexpr uint64_t kMoments = static_cast<uint64_t>(Moment::kCount);

class ImageCrash : public testing::Test {
 protected:
  explicit ImageCrash(os::Scratch (*place)()) : scratch_(place()) {}
  void SetUp() override {
    Child maker([&] {
      MakeImagePool(pool_path_, *log_);
      return 0;
    });
    ASSERT_EQ(maker.Wait(), "") << log_->failure.text;
  }
  void TearDown() override {
    if (HasFailure()) scratch_.Keep();
  }

  static Moment Choose(Random& random) {
    // A list, so that checkpoints are hit most.
    static constexpr Moment kWeighted[] = {
        Moment::kCheckpoint, Moment::kCheckpoint, Moment::kCheckpoint, Moment::kCheckpoint,
        Moment::kChange,     Moment::kClose,      Moment::kClose,      Moment::kDiscard,
        Moment::kOpen,       Moment::kCreate,     Moment::kFill,       Moment::kRemove};
    return kWeighted[random.Below(std::size(kWeighted))];
  }

  /// Runs one writer and kills it at a random moment of its work, or just after.
  std::string KillWriter(Calls calls, Random& random) {
    const uint64_t seed = random.Any();
    const Moment moment = Choose(random);
    Counter& count = log_->moments[static_cast<uint64_t>(moment)];
    const uint64_t usual = log_->nanoseconds[static_cast<uint64_t>(moment)].load();
    count.SetTarget(count.value() +
                    (moment == Moment::kChange ? random.Between(1, 200) : 1 + random.OneIn(4)));
    const std::chrono::nanoseconds delay(random.Below(std::max<uint64_t>(usual, 20'000) * 5 / 4));
    Child writer([&] { return RunImageWriter(pool_path_, seed, 0, calls, *log_); });
    return writer.KillAtTarget(count, delay);
  }

  void KillAgainAndAgain(Calls calls, uint64_t kills) {
    const uint64_t seed = FreshSeed();
    Random random(seed);
    uint64_t under_way = 0;
    uint64_t became = 0;
    for (uint64_t round = 0; round < kills; ++round) {
      SCOPED_TRACE("MORSEL_SEED=" + std::to_string(seed) + " round " + std::to_string(round));
      const std::string end = KillWriter(calls, random);
      const uint64_t completed = log_->completed.load();
      under_way += log_->begun.load() != completed;
      const uint64_t check_seed = random.Any();
      const Findings findings =
          FindInChild([&] { return CheckImage(pool_path_, {.seed = check_seed}, *log_); });
      ASSERT_EQ(end, "") << testing::PrintToString(findings);
      ASSERT_EQ(findings, Findings());
      became += log_->completed.load() != completed;
    }
    std::fprintf(stderr,
                 "%lu checkpoints were under way, %lu of them came to be; moments:", under_way,
                 became);
    for (uint64_t i = 0; i < kMoments; ++i) {
      std::fprintf(stderr, " %lu (%lu us)", log_->moments[i].value(),
                   log_->nanoseconds[i].load() / 1000);
    }
    std::fprintf(stderr, "\n");
    if (kills < kKills / 2) return;  // too few for what follows to be certain
    EXPECT_GT(under_way, kills / 10) << "the instants missed what they are for";
    EXPECT_LT(became, under_way);
  }

  os::Scratch scratch_;
  std::string pool_path_ = scratch_.At("pool");
  SharedFile<ImageLog> log_{scratch_.At("log")};
};

// Of the disk's own are the requests that are in flight when a writer is killed.
class ImageCrashOnDisk : public ImageCrash {
 protected:
  ImageCrashOnDisk() : ImageCrash(os::Scratch::OnDisk) {}
};

// What threads do beside a checkpoint is the same anywhere, and here nobody waits for syncs.
class ImageCrashInMemory : public ImageCrash {
 protected:
  ImageCrashInMemory() : ImageCrash(os::Scratch::InMemory) {}
};

TEST_F(ImageCrashOnDisk, ReopensAsACheckpointWhenKilledAnywhere) {
  KillAgainAndAgain(Calls::kNoneDuringCheckpoints, Rounds(kKills / 2));
}

TEST_F(ImageCrashInMemory, ReopensAsACheckpointWhenKilledWhileOthersAllocate) {
  KillAgainAndAgain(Calls::kAnyDuringCheckpoints, Rounds(kKills / 2));
}

}  // namespace
}  // namespace morsel::crash
