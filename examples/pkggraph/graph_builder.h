// From the packages of an index to the graph.
#pragma once

#include <vector>

#include "examples/pkggraph/graph.h"
#include "examples/pkggraph/package_record.h"
#include "examples/pkggraph/progress.h"

namespace pkggraph {

/// Fills an empty graph. The native architecture is the one that most of the packages are for.
///
/// Several versions of a package: the latest one counts, of equal ones the first.
/// Several architectures: packages of the native one, and those for all, go by their plain name,
/// others by `name:architecture`. What such a package depends on is looked for among its own
/// architecture first.
void BuildGraph(const std::vector<PackageRecord>& records, Graph& graph, Progress& progress);

}  // namespace pkggraph
