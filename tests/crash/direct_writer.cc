#include "tests/crash/direct_writer.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/units.h"
#include "tests/crash/direct_pool.h"

namespace morsel::crash {
namespace {

constexpr uint64_t kOperationsMax = 120;

struct OpenShelf {
  std::mutex mutex;
  DirectShelf shelf;
};

class Session {
 public:
  Session(DirectLog& log, morsel_t* morsel, Lie lie) : log_(log), morsel_(morsel), lie_(lie) {
    for (uint64_t i = 0; i < kShelves; ++i) {
      shelves_.emplace_back(new OpenShelf{{}, DirectShelf(log, i, morsel, lie)});
    }
  }

  void Run(Dice& dice) {
    std::vector<std::thread> threads;
    // A liar is alone, so that nobody covers up for it.
    const uint64_t thread_count = lie_ == Lie::kNone ? dice.Between(1, kWriterThreadsMax) : 1;
    for (uint64_t i = 0; i < thread_count; ++i) {
      const uint64_t seed = dice.Any();
      const uint64_t operations = dice.Between(1, kOperationsMax);
      threads.emplace_back([this, seed, operations] {
        Dice own(seed);
        for (uint64_t done = 0; done < operations; ++done) DoOne(own);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

 private:
  void DoOne(Dice& dice) {
    const Operation operation = Choose(dice);
    switch (operation) {
      case Operation::kResize:
        Resize(dice);
        break;
      case Operation::kCheckpoint:
        Must(log_.complaint, "morsel_checkpoint", morsel_checkpoint(morsel_));
        break;
      default:
        // Any thread works on any shelf, so that blocks are freed by others than allocated them.
        OpenShelf& open = *shelves_[dice.Below(kShelves)];
        std::lock_guard lock(open.mutex);
        OnShelf(open.shelf, operation, dice);
    }
    ++log_.counts[static_cast<uint64_t>(operation)];
    log_.steps.Raise();
  }

  static Operation Choose(Dice& dice) {
    const uint64_t die = dice.Below(200);
    if (die < 60) return Operation::kPut;
    if (die < 80) return Operation::kBatch;
    if (die < 135) return Operation::kDrop;
    if (die < 165) return Operation::kReplace;
    if (die < 185) return Operation::kScratch;
    if (die < 190) return Operation::kSweep;
    return die < 198 ? Operation::kResize : Operation::kCheckpoint;
  }

  static void OnShelf(DirectShelf& shelf, Operation operation, Dice& dice) {
    switch (operation) {
      case Operation::kPut:
        return shelf.Put(dice);
      case Operation::kBatch:
        return shelf.PutBatch(dice);
      case Operation::kDrop:
        return shelf.Drop(dice);
      case Operation::kReplace:
        return shelf.Replace(dice);
      case Operation::kScratch:
        return shelf.Scratch(dice);
      default:
        return shelf.Sweep(dice);
    }
  }

  void Resize(Dice& dice) {
    const morsel_code code =
        morsel_resize(morsel_, dice.Between(1, kPoolBytes / kSubtreeBytes) * kSubtreeBytes);
    if (code == MORSEL_BUSY || code == MORSEL_NO_SPACE) return;
    Must(log_.complaint, "morsel_resize", code);
  }

  DirectLog& log_;
  morsel_t* morsel_;
  Lie lie_;
  std::vector<std::unique_ptr<OpenShelf>> shelves_;
};

// A second morsel in the pool, made and filled, or removed.
void MakeOrRemoveSide(morsel_pool_t* pool, DirectLog& log) {
  ++log.counts[static_cast<uint64_t>(Operation::kSide)];
  if (log.side.load() == Presence::kPresent) {
    log.side.store(Presence::kGoing);
    log.steps.Raise();
    Must(log.complaint, "morsel_remove", morsel_remove(pool, kSideName));
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
  Must(log.complaint, "morsel_open of the side morsel", code);
  void* const object = morsel_malloc(side, kSideObject.size_bytes);
  if (object == nullptr) GiveUp(log.complaint, std::string("side morsel: ") + morsel_last_error());
  WriteObject(object, kSideObject);
  Must(log.complaint, "morsel_persist", morsel_persist(side, object, kSideObject.size_bytes));
  Must(log.complaint, "morsel_set_root", morsel_set_root(side, kSideRoot, object));
  log.side.store(Presence::kPresent);
  log.steps.Raise();
  Must(log.complaint, "morsel_close of the side morsel", morsel_close(side));
}

}  // namespace

int RunDirectWriter(const std::string& pool_path, uint64_t seed, uint64_t sessions, Lie lie,
                    DirectLog& log) {
  Dice dice(seed);
  for (uint64_t session = 0; sessions == 0 || session < sessions; ++session) {
    OpenedDirect opened;
    log.steps.Raise();
    if (const std::string why = OpenDirect(pool_path, &opened); !why.empty())
      GiveUp(log.complaint, why);
    log.steps.Raise();
    if (dice.OneIn(3)) MakeOrRemoveSide(opened.pool, log);
    Session(log, opened.morsel, lie).Run(dice);
    log.steps.Raise();
    if (const std::string why = CloseDirect(&opened); !why.empty()) GiveUp(log.complaint, why);
    ++log.counts[static_cast<uint64_t>(Operation::kReopen)];
  }
  return 0;
}

}  // namespace morsel::crash
