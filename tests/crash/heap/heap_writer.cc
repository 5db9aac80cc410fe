#include "tests/crash/heap/heap_writer.h"

#include <thread>
#include <vector>

#include "tests/crash/heap/heap_file.h"
#include "tests/crash/heap/heap_worker.h"
#include "tests/crash/random.h"

namespace morsel::crash {
namespace {

constexpr uint64_t kOperationsMax = 4000;

HeapOperation Choose(Random& random) {
  const uint64_t draw = random.Below(1000);
  if (draw < 330) return HeapOperation::kPut;
  if (draw < 350) return HeapOperation::kBatch;
  if (draw < 640) return HeapOperation::kDrop;
  if (draw < 740) return HeapOperation::kReplace;
  if (draw < 820) return HeapOperation::kReallocate;
  if (draw < 920) return HeapOperation::kPassOn;
  if (draw < 985) return HeapOperation::kScratch;
  if (draw < 990) return HeapOperation::kLose;
  return draw < 995 ? HeapOperation::kFlushFrees : HeapOperation::kResize;
}

void DoOne(HeapWorker& worker, Random& random, HeapLog& log) {
  const HeapOperation operation = Choose(random);
  switch (operation) {
    case HeapOperation::kPut:
      worker.Put();
      break;
    case HeapOperation::kBatch:
      worker.Batch();
      break;
    case HeapOperation::kDrop:
      worker.Drop();
      break;
    case HeapOperation::kReplace:
      worker.Replace();
      break;
    case HeapOperation::kReallocate:
      worker.Reallocate();
      break;
    case HeapOperation::kPassOn:
      worker.PassOn();
      break;
    case HeapOperation::kScratch:
      worker.Scratch();
      break;
    case HeapOperation::kLose:
      worker.Lose();
      break;
    case HeapOperation::kFlushFrees:
      worker.FlushFrees();
      break;
    default:
      worker.Resize();
  }
  ++log.counts[static_cast<uint64_t>(operation)];
  log.steps.Raise();
}

}  // namespace

int RunHeapWriter(const std::string& path, uint64_t seed, uint64_t sessions, HeapLie lie,
                  HeapLog& log) {
  Random random(seed);
  HeapFile file(path, log);
  for (uint64_t session = 0; sessions == 0 || session < sessions; ++session) {
    log.steps.Raise();
    if (const std::string why = file.Open(); !why.empty()) Fail(log.failure, why);
    log.steps.Raise();
    HeapTable table;
    std::vector<std::thread> threads;
    // A liar is alone, so that nobody covers up for it.
    const uint64_t thread_count = lie == HeapLie::kNone ? random.Between(1, kHeapThreadsMax) : 1;
    for (uint64_t number = 0; number < thread_count; ++number) {
      const uint64_t own_seed = random.Any();
      const uint64_t operations = random.Logarithmic(8, kOperationsMax);
      threads.emplace_back([&, number, own_seed, operations] {
        Random own(own_seed);
        HeapWorker worker(file, log, table, number, own, lie);
        for (uint64_t done = 0; done < operations; ++done) DoOne(worker, own, log);
      });
    }
    for (std::thread& thread : threads) thread.join();
    HeapWorker(file, log, table, 0, random, lie).ClearTable();
    log.steps.Raise();
    if (const std::string why = file.Close(); !why.empty()) Fail(log.failure, why);
    ++log.counts[static_cast<uint64_t>(HeapOperation::kReopen)];
  }
  return 0;
}

}  // namespace morsel::crash
