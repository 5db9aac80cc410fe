#include "tests/crash/image/image_writer.h"

#include <barrier>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/units.h"
#include "tests/crash/image/image_pool.h"

namespace morsel::crash {
namespace {

constexpr uint64_t kChangesMax = 60;
constexpr uint64_t kCheckpointsMax = 2;

class Writer {
 public:
  Writer(const std::string& path, uint64_t seed, Calls calls, ImageLog& log)
      : path_(path), random_(seed), calls_(calls), log_(log) {}

  void Session() {
    Within(Moment::kOpen, [&] { OpenPool(nullptr); });
    ChangeSide();
    OpenMorsel(nullptr);
    // Blocks of threads that were killed may be in the last checkpoint.
    FreeChurned(morsel_);
    {
      std::optional<Churn> churn;
      if (calls_ == Calls::kAnyDuringCheckpoints) {
        churn.emplace(morsel_, log_.churn, log_.failure);
      }
      Work();
    }
    if (random_.OneIn(2)) {
      Within(Moment::kDiscard, [&] { Must("morsel_discard", morsel_discard(morsel_)); });
      CompareWithLast();
    } else {
      Checkpoint(Moment::kClose, /*quiet=*/true,
                 [&] { Must("morsel_close", morsel_close(morsel_)); });
    }
    Must("morsel_pool_close", morsel_pool_close(pool_));
  }

 private:
  void Must(const char* call, morsel_code code) { crash::Must(log_.failure, call, code); }

  template <class Act>
  void Within(Moment moment, Act act) {
    const auto begin = std::chrono::steady_clock::now();
    log_.moments[static_cast<uint64_t>(moment)].Raise();
    act();
    log_.nanoseconds[static_cast<uint64_t>(moment)].store(static_cast<uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count()));
  }

  void OpenPool(const morsel_pool_options* options) {
    Must("morsel_pool_open", morsel_pool_open(path_.c_str(), options, &pool_));
  }
  void OpenMorsel(const morsel_options* options) {
    Must("morsel_open", morsel_open(pool_, kImageName, options, &morsel_));
  }

  /// Says what the checkpoint is going to have, lets `act` make it, and says that it is made.
  template <class Act>
  void Checkpoint(Moment moment, bool quiet, Act act) {
    const LoggedCheckpoint logged = DescribeCheckpoint(morsel_, quiet, log_.failure);
    LoggedCheckpoint& shared = log_.CheckpointOf(logged.generation);
    shared = logged;
    log_.begun.store(logged.generation);
    if (!quiet) {
      for (ChurnLog& churn : log_.churn) BeginWatch(churn);
    }
    Within(moment, act);
    if (!quiet) {
      for (uint64_t i = 0; i < kChurners; ++i) TakeCut(log_.churn[i], &shared.cuts[i]);
    }
    log_.completed.store(logged.generation);
    for (ChurnLog& churn : log_.churn) EndWatch(churn);
  }

  /// All threads change their partitions; then all wait while one of them makes a checkpoint.
  void Work() {
    Library* const library = LibraryOf(morsel_);
    const uint64_t checkpoints = random_.Below(kCheckpointsMax + 1);
    const bool quiet = calls_ == Calls::kNoneDuringCheckpoints;
    std::barrier barrier(kLibraryPartitions);
    std::vector<std::thread> threads;
    for (uint64_t number = 0; number < kLibraryPartitions; ++number) {
      const uint64_t seed = random_.Any();
      threads.emplace_back([this, library, checkpoints, quiet, &barrier, number, seed] {
        Random random(seed);
        for (uint64_t i = 0; i <= checkpoints; ++i) {
          ChangePartition(library->partitions[number], random);
          barrier.arrive_and_wait();
          if (number == 0) {
            if (i < checkpoints) {
              Checkpoint(Moment::kCheckpoint, quiet,
                         [&] { Must("morsel_checkpoint", morsel_checkpoint(morsel_)); });
            }
            if (random.OneIn(3)) Resize(random);
          }
          barrier.arrive_and_wait();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  void ChangePartition(LibraryPartition& partition, Random& random) {
    for (uint64_t i = random.Below(kChangesMax); i > 0; --i) {
      Within(Moment::kChange, [&] {
        if (!partition.Change(random))
          Fail(log_.failure, std::string("library: ") + morsel_last_error());
      });
    }
  }

  void Resize(Random& random) {
    const morsel_code code = morsel_resize(morsel_, random.Between(1, 6) * kSubtreeBytes);
    if (code != MORSEL_BUSY) Must("morsel_resize", code);
  }

  /// After a discard the morsel is what its last checkpoint was.
  void CompareWithLast() {
    morsel_options read_only = {};
    read_only.struct_size = sizeof read_only;
    read_only.flags = MORSEL_READ_ONLY;
    OpenMorsel(&read_only);
    const LoggedCheckpoint now = DescribeCheckpoint(morsel_, /*quiet=*/true, log_.failure);
    const LoggedCheckpoint& last = log_.CheckpointOf(log_.completed.load());
    if (now.generation != last.generation + 1 || now.library_sum != last.library_sum ||
        (last.quiet && !(now.bytes == last.bytes))) {
      Fail(log_.failure, "after a discard the morsel is not what its last checkpoint was");
    }
    Must("morsel_close", morsel_close(morsel_));
  }

  void ChangeSide() {
    switch (log_.side.load()) {
      case Side::kAbsent:
        return CreateSide();
      case Side::kEmpty:
        return FillSide();
      case Side::kFull:
        log_.side.store(Side::kGoing);
        Within(Moment::kRemove,
               [&] { Must("morsel_remove", morsel_remove(pool_, kImageSideName)); });
        return log_.side.store(Side::kAbsent);
      default:
        Fail(log_.failure, "the checker left the side morsel in between");
    }
  }

  void CreateSide() {
    morsel_options small = {};
    small.struct_size = sizeof small;
    small.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE;
    small.size_bytes = 2 * kMiB;
    small.capacity_bytes = 2 * kMiB;
    morsel_t* side = nullptr;
    log_.side.store(Side::kComing);
    Within(Moment::kCreate, [&] {
      Must("morsel_open of a new side morsel", morsel_open(pool_, kImageSideName, &small, &side));
    });
    log_.side.store(Side::kEmpty);
    Must("morsel_discard of the side morsel", morsel_discard(side));
  }

  void FillSide() {
    morsel_t* side = nullptr;
    Must("morsel_open of the side morsel", morsel_open(pool_, kImageSideName, nullptr, &side));
    void* const object = morsel_malloc(side, kImageSideObject.size_bytes);
    if (object == nullptr) Fail(log_.failure, std::string("side: ") + morsel_last_error());
    WriteObject(object, kImageSideObject);
    Must("morsel_set_root", morsel_set_root(side, kImageSideRoot, object));
    log_.side.store(Side::kFilling);
    Within(Moment::kFill, [&] { Must("morsel_close of the side morsel", morsel_close(side)); });
    log_.side.store(Side::kFull);
  }

  std::string path_;
  Random random_;
  Calls calls_;
  ImageLog& log_;
  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
};

}  // namespace

int RunImageWriter(const std::string& pool_path, uint64_t seed, uint64_t sessions, Calls calls,
                   ImageLog& log) {
  Writer writer(pool_path, seed, calls, log);
  for (uint64_t session = 0; sessions == 0 || session < sessions; ++session) writer.Session();
  return 0;
}

}  // namespace morsel::crash
