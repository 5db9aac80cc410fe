// What a workload is given.
#pragma once

#include <cstdint>

namespace bench {

struct Inputs {
  uint64_t size_min_bytes;
  uint64_t size_max_bytes;
  uint64_t objects;  // of each thread
};

}  // namespace bench
