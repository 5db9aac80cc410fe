// One number for a whole graph.
#pragma once

#include <cstdint>

#include "examples/pkggraph/graph.h"

namespace pkggraph {

/// A checksum over all that the graph says: every node's name and package, its edges in order and
/// its dependents in order. A pointer counts as the name of what it points at, and nodes are summed
/// up in any order, so graphs of the same content have the same checksum wherever they lie.
uint64_t Checksum(const Graph& graph);

}  // namespace pkggraph
