#include "tests/crash/writer.h"

#include <string>
#include <thread>
#include <vector>

namespace morsel::crash {
namespace {

void RunSession(CrashHeap& heap, Random& random, Lie lie) {
  WorkTable table;
  for (const SlotLog& slot : heap.log().slots) table.live_bytes += slot.now.size_bytes;
  std::vector<std::thread> threads;
  // A liar is alone, so that nobody covers up for it.
  const uint64_t thread_count = lie == Lie::kNone ? random.Between(1, kThreadsMax) : 1;
  for (uint64_t number = 0; number < thread_count; ++number) {
    const uint64_t own_seed = random.Any();
    const uint64_t operations = random.Logarithmic(8, heap.workload().operations_max);
    threads.emplace_back([&, number, own_seed, operations] {
      Random own(own_seed);
      Worker worker(heap, table, number, own, lie);
      for (uint64_t done = 0; done < operations; ++done) worker.Work();
    });
  }
  for (std::thread& thread : threads) thread.join();
  Worker(heap, table, 0, random, lie).ClearTable();
}

}  // namespace

int RunWriter(CrashHeap& heap, uint64_t seed, uint64_t sessions, Lie lie) {
  Random random(seed);
  WorkLog& log = heap.log();
  for (uint64_t session = 0; sessions == 0 || session < sessions; ++session) {
    log.steps.Raise();
    if (const std::string why = heap.Open(); !why.empty()) Fail(log.failure, why);
    log.steps.Raise();
    heap.BeginSession(random);
    RunSession(heap, random, lie);
    log.steps.Raise();
    if (const std::string why = heap.Close(); !why.empty()) Fail(log.failure, why);
    heap.Count(Operation::kReopen);
  }
  return 0;
}

}  // namespace morsel::crash
