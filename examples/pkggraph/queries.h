// What can be asked of the graph. Nothing here changes it.
#pragma once

#include <optional>
#include <vector>

#include "examples/pkggraph/graph.h"

namespace pkggraph {

/// One step of a path: `edge` is one of `from`'s.
struct Step {
  const Node* from;
  const Edge* edge;
};

/// A shortest path by which `from` needs `to`: over dependencies of every kind, each alternative
/// counted, and from a name to the packages that provide it. Empty where both are the same;
/// nothing where there is none.
std::optional<std::vector<Step>> ShortestPath(const Graph& graph, const Node& from, const Node& to);

/// The dependency edges that point at the node, with where they come from, by name.
std::vector<Step> ReverseDependencies(const Node& node);

/// The nodes with the most dependents, most first; of equal ones by name.
std::vector<const Node*> MostDependedUpon(const Graph& graph, size_t count_max);

}  // namespace pkggraph
