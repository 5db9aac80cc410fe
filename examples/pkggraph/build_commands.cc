// The commands that change the graph: build and add.
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <future>
#include <mutex>
#include <vector>

#include "examples/pkggraph/commands.h"
#include "examples/pkggraph/graph_builder.h"
#include "examples/pkggraph/graph_checksum.h"
#include "examples/pkggraph/package_index.h"
#include "examples/pkggraph/progress.h"
#include "examples/pkggraph/stopwatch.h"
#include "examples/pkggraph/synthetic.h"

namespace pkggraph {
namespace {

// A line that a reader at the other end of a pipe waits for must not stay in a buffer.
void PrintState(const char* what, const Graph& graph) {
  std::printf("%s %zu %016" PRIx64 "\n", what, graph.nodes().size(), Checksum(graph));
  std::fflush(stdout);
}

void WaitForEndOfInput() {
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

// The graph is changed by one thread at a time. The lock is taken inside a section, and is not held
// across its commit: so all that wait for a commit share it, and others change the graph meanwhile.
void AddInSections(GraphSession& session, const AddOptions& options) {
  Graph& graph = session.graph();
  std::mutex changes;
  std::mutex says;
  uint64_t left = options.count;
  const auto add_some = [&] {
    const std::lock_guard lock(changes);
    const uint64_t count = std::min(options.checkpoint_every, left);
    for (uint64_t i = 0; i < count; ++i) AddSynthetic(graph);
    left -= count;
    return count == 0 ? 0 : graph.synthetic_count;
  };
  const auto add_all = [&] {
    for (uint64_t made_up = 1; made_up != 0;) {
      session.Commit([&] { made_up = add_some(); });
      const std::lock_guard lock(says);
      if (made_up != 0) std::printf("durable %" PRIu64 "\n", made_up);
      std::fflush(stdout);
    }
  };
  std::vector<std::future<void>> threads;
  for (uint64_t i = 0; i < options.threads; ++i) {
    threads.push_back(std::async(std::launch::async, add_all));
  }
  for (std::future<void>& thread : threads) thread.get();
}

}  // namespace

ExitCode Build(const Place& place, const BuildOptions& options) {
  Stopwatch watch;
  const IndexText index = ReadIndexText(options.index);
  const double read_ms = watch.Lap();
  // Parsed before the pool is touched: an index that is malformed changes nothing.
  const std::vector<PackageRecord> records = ParseIndex(index);
  const double parse_ms = watch.Lap();

  GraphSession session(place, Rights::kCreate);
  Graph& graph = session.Renew();
  const double open_ms = watch.Lap();
  {
    Progress progress("building the graph");
    BuildGraph(records, graph, progress);
  }
  const double build_ms = watch.Lap();
  session.Checkpoint();
  const double checkpoint_ms = watch.Lap();

  const morsel_info info = session.Stat();
  std::printf("index         %s\n", index.source.c_str());
  std::printf("index_bytes   %zu\n", index.text.size());
  std::printf("stanzas       %zu\n", records.size());
  std::printf("read_ms       %.1f\n", read_ms);
  std::printf("parse_ms      %.1f\n", parse_ms);
  std::printf("open_ms       %.1f\n", open_ms);
  std::printf("build_ms      %.1f\n", build_ms);
  std::printf("checkpoint_ms %.1f\n", checkpoint_ms);
  std::printf("base          %p\n", info.base);
  std::printf("generation    %" PRIu64 "\n", info.generation);
  PrintState("durable", graph);
  if (options.pause) WaitForEndOfInput();
  return ExitCode::kDone;
}

ExitCode Add(const Place& place, const AddOptions& options) {
  GraphSession session(place, Rights::kWrite);
  if (options.threads > 0) {
    AddInSections(session, options);
    return ExitCode::kDone;
  }
  Graph& graph = session.graph();
  for (uint64_t added = 0; added < options.count;) {
    const uint64_t until = added + std::min(options.checkpoint_every, options.count - added);
    for (; added < until; ++added) AddSynthetic(graph);
    // Said before as well: whoever is killed within a checkpoint cannot say how it ended.
    PrintState("checkpoint", graph);
    session.Checkpoint();
    PrintState("durable", graph);
  }
  return ExitCode::kDone;
}

}  // namespace pkggraph
