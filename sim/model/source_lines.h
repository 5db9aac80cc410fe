// Where in the source an address of this program's code lies.
#pragma once

#include <string>
#include <vector>

namespace morsel::sim {

/// Returns for each return address the line of the call, innermost first where functions were
/// inlined, e.g. "alloc/heap/segments/slab.cc:41, called at alloc/heap/heap.cc:80". An address
/// without a line is returned as a number.
/// Cost  runs addr2line once.
std::vector<std::string> SourceLines(const std::vector<const void*>& return_addresses);

}  // namespace morsel::sim
