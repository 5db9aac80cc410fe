// The commands that ask: why, rdeps, top, stat and checksum.
#include <cinttypes>
#include <cstdio>

#include "examples/pkggraph/commands.h"
#include "examples/pkggraph/graph_checksum.h"
#include "examples/pkggraph/queries.h"
#include "examples/pkggraph/stopwatch.h"

namespace pkggraph {
namespace {

// A graph open for reading, and how long that and the answer took.
class Question {
 public:
  Question(const Place& place, bool timing)
      : timing_(timing),
        session_(place, Rights::kRead),
        graph_(static_cast<const GraphSession&>(session_).graph()),
        open_ms_(watch_.Lap()) {}

  /// To be called when the answer is printed.
  ExitCode Answered(ExitCode code) {
    if (timing_) {
      std::fflush(stdout);
      const double answer_ms = watch_.Lap();
      std::fprintf(stderr, "open_ms       %.3f\nanswer_ms     %.3f\nbase          %p\n", open_ms_,
                   answer_ms, session_.Stat().base);
    }
    return code;
  }

  const GraphSession& session() const { return session_; }
  const Graph& graph() const { return graph_; }

  const Node& Find(const std::string& name) const {
    const Node* const node = graph_.Find(name);
    if (node == nullptr) {
      throw Failure(ExitCode::kNotFound, "there is no package of the name " + name +
                                             ", and nothing depends on or provides it");
    }
    return *node;
  }

 private:
  Stopwatch watch_;
  const bool timing_;
  GraphSession session_;
  const Graph& graph_;
  const double open_ms_;
};

void PrintTarget(const Node& from, const Edge& edge, const Node& shown) {
  static constexpr const char* kQualifiers[] = {"", ":any", ""};
  std::printf("%s%s", shown.name.c_str(), kQualifiers[static_cast<size_t>(edge.qualifier)]);
  if (edge.version != nullptr) {
    std::printf(" (%s %s)", VersionOrderSign(edge.order), edge.version->c_str());
  }
  if (edge.kind != EdgeKind::kAlternative && edge.kind != EdgeKind::kPreAlternative) return;
  size_t others = 0;
  for (const Edge& other : from.edges) {
    others += other.kind == edge.kind && other.clause == edge.clause && &other != &edge;
  }
  std::printf(", one of %zu", others + 1);
}

void PrintSteps(const std::vector<Step>& path) {
  for (const Step& step : path) {
    std::printf("  %-23s  ", EdgeKindName(step.edge->kind));
    PrintTarget(*step.from, *step.edge, *step.edge->target);
    std::printf("\n");
  }
}

}  // namespace

ExitCode Why(const Place& place, bool timing, const std::string& from, const std::string& to) {
  Question question(place, timing);
  const Node& start = question.Find(from);
  const auto path = ShortestPath(question.graph(), start, question.Find(to));
  if (!path) {
    std::printf("%s does not need %s\n", from.c_str(), to.c_str());
    return question.Answered(ExitCode::kNo);
  }
  std::printf("%s\n", from.c_str());
  PrintSteps(*path);
  return question.Answered(ExitCode::kDone);
}

ExitCode ReverseDepends(const Place& place, bool timing, const std::string& name) {
  Question question(place, timing);
  const Node& node = question.Find(name);
  for (const Step& step : ReverseDependencies(node)) {
    std::printf("%-40s  %-23s  ", step.from->name.c_str(), EdgeKindName(step.edge->kind));
    PrintTarget(*step.from, *step.edge, node);
    std::printf("\n");
  }
  return question.Answered(ExitCode::kDone);
}

ExitCode Top(const Place& place, bool timing, uint64_t count_max) {
  Question question(place, timing);
  for (const Node* node : MostDependedUpon(question.graph(), count_max)) {
    std::printf("%8zu  %s%s\n", node->dependents.size(), node->name.c_str(),
                node->package == nullptr ? "  (virtual or unknown)" : "");
  }
  return question.Answered(ExitCode::kDone);
}

ExitCode ShowStat(const Place& place, bool timing) {
  Question question(place, timing);
  const Graph& graph = question.graph();
  const morsel_info info = question.session().Stat();
  const size_t node_count = graph.nodes().size();
  std::printf("nodes                      %zu\n", node_count);
  std::printf("  packages                 %zu\n", graph.package_count());
  std::printf("  virtual or unknown       %zu\n", node_count - graph.package_count());
  std::printf("  made up                  %" PRIu64 "\n", graph.synthetic_count);
  std::printf("edges\n");
  for (const EdgeKind kind : {EdgeKind::kDepends, EdgeKind::kPreDepends, EdgeKind::kAlternative,
                              EdgeKind::kPreAlternative, EdgeKind::kProvides}) {
    std::printf("  %-23s  %" PRIu64 "\n", EdgeKindName(kind), graph.edge_count(kind));
  }
  std::printf("architecture               %s\n",
              graph.native_architecture == nullptr ? "all" : graph.native_architecture->c_str());
  std::printf("live_bytes                 %" PRIu64 "\n", info.live_bytes);
  std::printf("size_bytes                 %" PRIu64 "\n", info.size_bytes);
  std::printf("base                       %p\n", info.base);
  std::printf("generation                 %" PRIu64 "\n", info.generation);
  return question.Answered(ExitCode::kDone);
}

ExitCode ShowChecksum(const Place& place, bool timing) {
  Question question(place, timing);
  const Graph& graph = question.graph();
  std::printf("%zu %016" PRIx64 "\n", graph.nodes().size(), Checksum(graph));
  return question.Answered(ExitCode::kDone);
}

}  // namespace pkggraph
