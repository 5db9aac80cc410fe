#include "tests/crash/heap_writer.h"

#include <thread>
#include <vector>

#include "tests/crash/dice.h"
#include "tests/crash/heap_hand.h"
#include "tests/crash/heap_room.h"

namespace morsel::crash {
namespace {

constexpr uint64_t kOperationsMax = 4000;

HeapOperation Choose(Dice& dice) {
  const uint64_t die = dice.Below(1000);
  if (die < 330) return HeapOperation::kPut;
  if (die < 350) return HeapOperation::kBatch;
  if (die < 640) return HeapOperation::kDrop;
  if (die < 740) return HeapOperation::kReplace;
  if (die < 820) return HeapOperation::kReallocate;
  if (die < 920) return HeapOperation::kHandOver;
  if (die < 985) return HeapOperation::kScratch;
  if (die < 990) return HeapOperation::kLose;
  return die < 995 ? HeapOperation::kSettle : HeapOperation::kResize;
}

void DoOne(HeapHand& hand, Dice& dice, HeapLog& log) {
  const HeapOperation operation = Choose(dice);
  switch (operation) {
    case HeapOperation::kPut:
      hand.Put();
      break;
    case HeapOperation::kBatch:
      hand.Batch();
      break;
    case HeapOperation::kDrop:
      hand.Drop();
      break;
    case HeapOperation::kReplace:
      hand.Replace();
      break;
    case HeapOperation::kReallocate:
      hand.Reallocate();
      break;
    case HeapOperation::kHandOver:
      hand.HandOver();
      break;
    case HeapOperation::kScratch:
      hand.Scratch();
      break;
    case HeapOperation::kLose:
      hand.Lose();
      break;
    case HeapOperation::kSettle:
      hand.Settle();
      break;
    default:
      hand.Resize();
  }
  ++log.counts[static_cast<uint64_t>(operation)];
  log.steps.Raise();
}

}  // namespace

int RunHeapWriter(const std::string& path, uint64_t seed, uint64_t sessions, HeapLie lie,
                  HeapLog& log) {
  Dice dice(seed);
  HeapRoom room(path, log);
  for (uint64_t session = 0; sessions == 0 || session < sessions; ++session) {
    log.steps.Raise();
    if (const std::string why = room.Open(); !why.empty()) GiveUp(log.complaint, why);
    log.steps.Raise();
    HeapTable table;
    std::vector<std::thread> threads;
    // A liar is alone, so that nobody covers up for it.
    const uint64_t thread_count = lie == HeapLie::kNone ? dice.Between(1, kHeapThreadsMax) : 1;
    for (uint64_t number = 0; number < thread_count; ++number) {
      const uint64_t own_seed = dice.Any();
      const uint64_t operations = dice.Logarithmic(8, kOperationsMax);
      threads.emplace_back([&, number, own_seed, operations] {
        Dice own(own_seed);
        HeapHand hand(room, log, table, number, own, lie);
        for (uint64_t done = 0; done < operations; ++done) DoOne(hand, own, log);
      });
    }
    for (std::thread& thread : threads) thread.join();
    HeapHand(room, log, table, 0, dice, lie).ClearTable();
    log.steps.Raise();
    if (const std::string why = room.Close(); !why.empty()) GiveUp(log.complaint, why);
    ++log.counts[static_cast<uint64_t>(HeapOperation::kReopen)];
  }
  return 0;
}

}  // namespace morsel::crash
