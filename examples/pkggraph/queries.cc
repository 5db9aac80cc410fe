#include "examples/pkggraph/queries.h"

#include <algorithm>
#include <deque>

namespace pkggraph {
namespace {

std::vector<Step> PathTo(const Node& to, const Node& from, const std::vector<Step>& reached_by) {
  std::vector<Step> path;
  for (const Node* node = &to; node != &from; node = path.back().from) {
    path.push_back(reached_by[node->index]);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

}  // namespace

std::optional<std::vector<Step>> ShortestPath(const Graph& graph, const Node& from,
                                              const Node& to) {
  // Marks are kept beside the graph: it may be open for reading only.
  std::vector<Step> reached_by(graph.nodes().size(), Step{nullptr, nullptr});
  std::deque<const Node*> open = {&from};
  reached_by[from.index].from = &from;
  while (!open.empty()) {
    const Node& node = *open.front();
    open.pop_front();
    if (&node == &to) return PathTo(to, from, reached_by);
    for (const Edge& edge : node.edges) {
      // That a package provides a name does not mean that it needs it.
      if (edge.kind == EdgeKind::kProvides) continue;
      Step& step = reached_by[edge.target->index];
      if (step.from != nullptr) continue;
      step = {&node, &edge};
      open.push_back(edge.target);
    }
  }
  return std::nullopt;
}

std::vector<Step> ReverseDependencies(const Node& node) {
  std::vector<Step> found;
  for (const Node* dependent : node.dependents) {
    for (const Edge& edge : dependent->edges) {
      const bool is_dependency =
          edge.kind != EdgeKind::kProvides && edge.kind != EdgeKind::kProvidedBy;
      if (edge.target == &node && is_dependency) found.push_back({dependent, &edge});
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Step& a, const Step& b) { return a.from->name < b.from->name; });
  return found;
}

std::vector<const Node*> MostDependedUpon(const Graph& graph, size_t count_max) {
  std::vector<const Node*> nodes;
  nodes.reserve(graph.nodes().size());
  for (const Node& node : graph.nodes()) nodes.push_back(&node);
  const size_t count = std::min(count_max, nodes.size());
  std::partial_sort(nodes.begin(), nodes.begin() + static_cast<ptrdiff_t>(count), nodes.end(),
                    [](const Node* a, const Node* b) {
                      const size_t of_a = a->dependents.size();
                      const size_t of_b = b->dependents.size();
                      return of_a != of_b ? of_a > of_b : a->name < b->name;
                    });
  nodes.resize(count);
  return nodes;
}

}  // namespace pkggraph
