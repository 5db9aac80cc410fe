// One allocator, one workload: built once for each allocator, since several of
// them are the malloc() of their process.
#include <algorithm>
#include <barrier>
#include <cinttypes>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "bench/durable_workloads.h"
#include "bench/handover_workloads.h"
#include "bench/meter.h"
#include "bench/options.h"
#include "bench/volatile_workloads.h"
#include "bench/workload_inputs.h"
#include BENCH_ADAPTER

namespace bench {
namespace {

struct Workload {
  std::string name;
  Inputs inputs;
  int threads_min;
  std::function<Meter(Adapter&, const Inputs&, const Options&)> run;
};

// Every thread warms up, waits for the others, and then works until its time is over.
template <typename Work, typename Adapter>
Meter Run(Adapter& adapter, const Inputs& inputs, const Options& options) {
  const int workers = options.threads / Work::kThreads;
  std::vector<Meter> meters(static_cast<size_t>(workers));
  std::barrier all_are_warm(workers);
  const auto work = [&](size_t worker) {
    Work here(adapter, inputs, options.seed + worker);
    Meter warm_up;
    here.Batch(warm_up);
    all_are_warm.arrive_and_wait();
    const uint64_t end_ns = WallNs() + static_cast<uint64_t>(options.seconds * 1e9);
    do {
      here.Batch(meters[worker]);
    } while (WallNs() < end_ns);
  };
  std::vector<std::thread> threads;
  for (size_t worker = 1; worker < meters.size(); ++worker) threads.emplace_back(work, worker);
  work(0);
  for (std::thread& thread : threads) thread.join();
  Meter sum;
  for (const Meter& meter : meters) sum.AddConcurrent(meter);
  return sum;
}

template <typename Work, typename Adapter>
Workload Make(const char* name, const Inputs& inputs) {
  return {name, inputs, Work::kThreads, &Run<Work, Adapter>};
}

// Templates, so that what an allocator cannot do is not compiled.
template <typename A>
void AddVolatile(std::vector<Workload>& list) {
  list.push_back(Make<Threadtest<A>, A>("threadtest-64", {64, 64, 100'000}));
  list.push_back(Make<Threadtest<A>, A>("threadtest-256", {256, 256, 50'000}));
  list.push_back(Make<Threadtest<A>, A>("threadtest-2k", {2048, 2048, 10'000}));
  list.push_back(Make<Threadtest<A>, A>("threadtest-64k", {65536, 65536, 500}));
  list.push_back(Make<Pairs<A>, A>("pairs-64", {64, 64, 10'000}));
  list.push_back(Make<Mixed<A>, A>("mixed-64-1000", {64, 1000, 10'000}));
  if constexpr (A::kFreesFromAnyThread) {
    list.push_back(Make<Larson<A>, A>("larson", {64, 400, 1000}));
    list.push_back(Make<ProducerConsumer<A>, A>("producer-consumer", {64, 64, 100'000}));
    list.push_back(Make<XmallocTest<A>, A>("xmalloc-test", {16, 2048, 50'000}));
  }
}

template <typename A>
void AddDurable(std::vector<Workload>& list) {
  if constexpr (A::kDurable) {
    constexpr Inputs kInputs = {kDurableBytes, kDurableBytes, 10'000};
    const auto add = [&]<Durable kMetered>(const char* name) {
      list.push_back(Make<DurableWorkload<A, kMetered>, A>(name, kInputs));
    };
    add.template operator()<Durable::kLink>("durable-link");
    add.template operator()<Durable::kLinkTogether>("durable-link-16");
    add.template operator()<Durable::kUnlink>("durable-unlink");
    add.template operator()<Durable::kUnlinkTogether>("durable-unlink-16");
  }
}

std::vector<Workload> Workloads() {
  std::vector<Workload> list;
  AddVolatile<Adapter>(list);
  AddDurable<Adapter>(list);
  return list;
}

void Print(const Meter& meter) {
  std::printf("{\"version\": \"%s\", \"operations\": %" PRIu64 ", \"cpu_ns\": %" PRIu64
              ", \"wall_ns\": %" PRIu64,
              Adapter::Version().c_str(), meter.operations(), meter.cpu_ns(), meter.wall_ns());
  if (FlushesAreCounted()) {
    std::printf(", \"lines\": %" PRIu64 ", \"fences\": %" PRIu64, meter.flushes().lines,
                meter.flushes().fences);
  }
  std::printf("}\n");
}

void Main(const Options& options) {
  for (const Workload& workload : Workloads()) {
    if (options.list) std::printf("%s %d\n", workload.name.c_str(), workload.threads_min);
    if (options.list || workload.name != options.workload) continue;
    if (options.threads < workload.threads_min) Fail(workload.name.c_str(), "too few threads");
    Inputs inputs = workload.inputs;
    inputs.objects = std::max<uint64_t>(inputs.objects / options.shrink, kTogether);
    Adapter adapter(options.place);
    Print(workload.run(adapter, inputs, options));
    return;
  }
  if (!options.list) Fail(options.workload.c_str(), "this allocator has no such workload");
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { bench::Main(bench::ParseOptions(argc, argv)); }
