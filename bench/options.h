// The command line of a benchmark program that runs one allocator.
#pragma once

#include <cstdint>
#include <string>

#include "bench/place.h"

namespace bench {

struct Options {
  bool list = false;
  std::string workload;
  Place place = {.folder = "", .size_bytes = uint64_t{2} << 30};
  int threads = 1;
  double seconds = 0.25;
  uint64_t seed = 1;
  uint64_t shrink = 1;  // divides the numbers of objects
};

/// Ends the program where they are wrong.
Options ParseOptions(int argc, char** argv);

}  // namespace bench
