// What is mapped in the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace morsel::os {

struct Mapping {
  uint64_t begin = 0;
  uint64_t end = 0;
  std::string name;  ///< a path, or the kernel's word in brackets; empty: anonymous
};

/// Reads /proc/self/maps: the mappings that can be read, in the order of addresses.
/// Errors  those of a file that cannot be read.
Result<std::vector<Mapping>> ReadableMappings();

/// How many mappings more the host lets the process have (vm.max_map_count); 0 if nothing tells.
/// Cost  reads /proc/self/maps.
size_t MappingsLeft();

}  // namespace morsel::os
