// The operating system's random bytes, decided by a seed: ids and names of temporary
// files are then the same in every run, and images can be told to be the same.
#pragma once

#include <cstdint>

namespace morsel::sim {

/// From now on getrandom(2) of this process gives what the seed says.
void SeedRandomBytes(uint64_t seed);

}  // namespace morsel::sim
