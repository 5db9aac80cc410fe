// Packages that nobody made, to change a graph with.
#pragma once

#include "examples/pkggraph/graph.h"

namespace pkggraph {

/// Adds one package with edges of every kind to nodes that are there. Which ones depends on the
/// graph alone, so that the same graph grows the same way again.
void AddSynthetic(Graph& graph);

}  // namespace pkggraph
