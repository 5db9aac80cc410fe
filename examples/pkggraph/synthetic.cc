#include "examples/pkggraph/synthetic.h"

#include <array>
#include <cinttypes>
#include <cstdio>

namespace pkggraph {
namespace {

// SplitMix64: a good mixture of a counter.
uint64_t Mixed(uint64_t number) {
  number += 0x9e3779b97f4a7c15;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
  number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
  return number ^ (number >> 31);
}

}  // namespace

void AddSynthetic(Graph& graph) {
  const uint64_t number = graph.synthetic_count++;
  const size_t others = graph.nodes().size();

  char name[48];
  std::snprintf(name, sizeof name, "synthetic-package-%" PRIu64, number);
  char version[32];
  std::snprintf(version, sizeof version, "1.%" PRIu64 "-1", number % 1000);
  Node& node = graph.FindOrMake(name);
  graph.SetPackage(node, version, "all", "synthetic", number % 4096,
                   "made up to see whether it survives");

  char group[48];
  std::snprintf(group, sizeof group, "synthetic-group-%" PRIu64, number % 97);
  graph.Connect(node, graph.FindOrMake(group),
                {.kind = EdgeKind::kProvides, .order = VersionOrder::kEqual, .version = version},
                Qualifier::kNone);
  if (others == 0) return;

  constexpr std::array kKinds = {EdgeKind::kPreDepends, EdgeKind::kDepends, EdgeKind::kDepends,
                                 EdgeKind::kAlternative, EdgeKind::kAlternative};
  for (size_t i = 0; i < kKinds.size(); ++i) {
    // The last two share a clause.
    const uint32_t clause = static_cast<uint32_t>(1 + (i == 4 ? 3 : i));
    Node& target = graph.node(Mixed(number * kKinds.size() + i) % others);
    graph.Connect(node, target, {.kind = kKinds[i], .clause = clause}, Qualifier::kNone);
  }
}

}  // namespace pkggraph
