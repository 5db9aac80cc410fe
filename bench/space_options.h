// The command line of a program that shows what one allocator takes.
#pragma once

#include <cstdint>
#include <string>

#include "bench/place.h"

namespace bench {

// Of churns.
inline constexpr uint64_t kSizeMinBytes = 16;
inline constexpr uint64_t kSizeMaxBytes = 32768;

struct SpaceOptions {
  std::string workload;
  Place place = {"", uint64_t{4} << 30};
  uint64_t objects = 1'000'000;
  uint64_t churns = 10;
  uint64_t live_bytes = uint64_t{256} << 20;
  uint64_t seed = 1;
};

/// Ends the program where they are wrong.
SpaceOptions ParseSpaceOptions(int argc, char** argv);

}  // namespace bench
