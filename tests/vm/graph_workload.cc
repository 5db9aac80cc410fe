#include "tests/vm/graph_workload.h"

#include <exception>
#include <random>

#include "examples/pkggraph/graph_checksum.h"
#include "examples/pkggraph/graph_session.h"
#include "examples/pkggraph/synthetic.h"

namespace morsel::crash {
namespace {

using pkggraph::GraphSession;
using pkggraph::Rights;

constexpr char kMorsel[] = "packages";

void Checkpoint(GraphSession& session, GraphLog& log) {
  const uint64_t number = log.completed + 1;
  const pkggraph::Graph& graph = session.graph();
  log.CheckpointOf(number) = {graph.nodes().size(), pkggraph::Checksum(graph)};
  log.begun = number;
  session.Checkpoint();
  log.completed = number;
}

// Whatever is thrown ends the process, with its message in the log.
template <class Work>
void OrGiveUp(GraphLog& log, Work work) {
  try {
    work();
  } catch (const std::exception& error) {
    Fail(log.failure, error.what());
  }
}

std::string TextOf(const GraphLog::Checkpoint& logged) {
  return std::to_string(logged.nodes) + " nodes of sum " + std::to_string(logged.checksum);
}

}  // namespace

void MakeGraph(const std::string& pool, GraphLog& log) {
  OrGiveUp(log, [&] {
    GraphSession session({pool, kMorsel}, Rights::kCreate);
    pkggraph::Graph& graph = session.Renew();
    for (int i = 0; i < 200; ++i) pkggraph::AddSynthetic(graph);
    Checkpoint(session, log);
  });
}

void GrowGraph(const std::string& pool, uint64_t seed, GraphLog& log) {
  OrGiveUp(log, [&] {
    std::mt19937_64 random(seed);
    GraphSession session({pool, kMorsel}, Rights::kWrite);
    for (;;) {
      for (uint64_t left = 1 + random() % 40; left > 0; --left) {
        pkggraph::AddSynthetic(session.graph());
      }
      Checkpoint(session, log);
      log.steps.Raise();
    }
  });
  Fail(log.failure, "it came to its end");
}

std::string CheckGraph(const std::string& pool, GraphLog& log) {
  try {
    const GraphSession session({pool, kMorsel}, Rights::kRead);
    const pkggraph::Graph& graph = session.graph();
    const GraphLog::Checkpoint found = {graph.nodes().size(), pkggraph::Checksum(graph)};
    for (const uint64_t number : {log.completed.load(), log.begun.load()}) {
      const GraphLog::Checkpoint& logged = log.CheckpointOf(number);
      if (logged.nodes != found.nodes || logged.checksum != found.checksum) continue;
      log.begun = log.completed = number;
      return "";
    }
    return "the graph has " + TextOf(found) + "; checkpoint " + std::to_string(log.completed) +
           " was " + TextOf(log.CheckpointOf(log.completed)) + ", and under way was " +
           TextOf(log.CheckpointOf(log.begun));
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace morsel::crash
