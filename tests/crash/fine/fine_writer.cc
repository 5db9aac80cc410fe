#include "tests/crash/fine/fine_writer.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/units.h"
#include "tests/crash/fine/fine_pool.h"

namespace morsel::crash {
namespace {

constexpr uint64_t kOperationsMax = 120;

struct LockedPartition {
  std::mutex mutex;
  FinePartition partition;
};

class Session {
 public:
  Session(FineLog& log, morsel_t* morsel, Lie lie) : log_(log), morsel_(morsel), lie_(lie) {
    for (uint64_t i = 0; i < kPartitions; ++i) {
      partitions_.emplace_back(new LockedPartition{{}, FinePartition(log, i, morsel, lie)});
    }
  }

  void Run(Random& random) {
    std::vector<std::thread> threads;
    // A liar is alone, so that nobody covers up for it.
    const uint64_t thread_count = lie_ == Lie::kNone ? random.Between(1, kWriterThreadsMax) : 1;
    for (uint64_t i = 0; i < thread_count; ++i) {
      const uint64_t seed = random.Any();
      const uint64_t operations = random.Between(1, kOperationsMax);
      threads.emplace_back([this, seed, operations] {
        Random own(seed);
        for (uint64_t done = 0; done < operations; ++done) DoOne(own);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

 private:
  void DoOne(Random& random) {
    const Operation operation = Choose(random);
    switch (operation) {
      case Operation::kResize:
        Resize(random);
        break;
      case Operation::kCheckpoint:
        Must(log_.failure, "morsel_checkpoint", morsel_checkpoint(morsel_));
        break;
      default:
        // Any thread works on any partition, so that blocks are freed by others than allocated
        // them.
        LockedPartition& open = *partitions_[random.Below(kPartitions)];
        std::lock_guard lock(open.mutex);
        Apply(open.partition, operation, random);
    }
    ++log_.counts[static_cast<uint64_t>(operation)];
    log_.steps.Raise();
  }

  static Operation Choose(Random& random) {
    const uint64_t draw = random.Below(200);
    if (draw < 60) return Operation::kPut;
    if (draw < 80) return Operation::kBatch;
    if (draw < 135) return Operation::kDrop;
    if (draw < 165) return Operation::kReplace;
    if (draw < 185) return Operation::kScratch;
    if (draw < 190) return Operation::kSweep;
    return draw < 198 ? Operation::kResize : Operation::kCheckpoint;
  }

  static void Apply(FinePartition& partition, Operation operation, Random& random) {
    switch (operation) {
      case Operation::kPut:
        return partition.Put(random);
      case Operation::kBatch:
        return partition.PutBatch(random);
      case Operation::kDrop:
        return partition.Drop(random);
      case Operation::kReplace:
        return partition.Replace(random);
      case Operation::kScratch:
        return partition.Scratch(random);
      default:
        return partition.Sweep(random);
    }
  }

  void Resize(Random& random) {
    const morsel_code code =
        morsel_resize(morsel_, random.Between(1, kPoolBytes / kSubtreeBytes) * kSubtreeBytes);
    if (code == MORSEL_BUSY || code == MORSEL_NO_SPACE) return;
    Must(log_.failure, "morsel_resize", code);
  }

  FineLog& log_;
  morsel_t* morsel_;
  Lie lie_;
  std::vector<std::unique_ptr<LockedPartition>> partitions_;
};

// A second morsel in the pool, made and filled, or removed.
void MakeOrRemoveSide(morsel_pool_t* pool, FineLog& log) {
  ++log.counts[static_cast<uint64_t>(Operation::kSide)];
  if (log.side.load() == Presence::kPresent) {
    log.side.store(Presence::kGoing);
    log.steps.Raise();
    Must(log.failure, "morsel_remove", morsel_remove(pool, kSideName));
    log.side.store(Presence::kAbsent);
    return;
  }
  morsel_options fine = {};
  fine.struct_size = sizeof fine;
  fine.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_FINE;
  fine.size_bytes = 2 * kMiB;
  fine.capacity_bytes = 2 * kMiB;
  log.side.store(Presence::kComing);
  log.steps.Raise();
  morsel_t* side = nullptr;
  const morsel_code code = morsel_open(pool, kSideName, &fine, &side);
  if (code == MORSEL_NO_SPACE) return log.side.store(Presence::kAbsent);
  Must(log.failure, "morsel_open of the side morsel", code);
  void* const object = morsel_malloc(side, kSideObject.size_bytes);
  if (object == nullptr) Fail(log.failure, std::string("side morsel: ") + morsel_last_error());
  WriteObject(object, kSideObject);
  Must(log.failure, "morsel_persist", morsel_persist(side, object, kSideObject.size_bytes));
  Must(log.failure, "morsel_set_root", morsel_set_root(side, kSideRoot, object));
  log.side.store(Presence::kPresent);
  log.steps.Raise();
  Must(log.failure, "morsel_close of the side morsel", morsel_close(side));
}

}  // namespace

int RunFineWriter(const std::string& pool_path, uint64_t seed, uint64_t sessions, Lie lie,
                  FineLog& log) {
  Random random(seed);
  for (uint64_t session = 0; sessions == 0 || session < sessions; ++session) {
    OpenedFinePool opened;
    log.steps.Raise();
    if (const std::string why = OpenFinePool(pool_path, &opened); !why.empty())
      Fail(log.failure, why);
    log.steps.Raise();
    if (random.OneIn(3)) MakeOrRemoveSide(opened.pool, log);
    Session(log, opened.morsel, lie).Run(random);
    log.steps.Raise();
    if (const std::string why = CloseFinePool(&opened); !why.empty()) Fail(log.failure, why);
    ++log.counts[static_cast<uint64_t>(Operation::kReopen)];
  }
  return 0;
}

}  // namespace morsel::crash
