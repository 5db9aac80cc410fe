// Replaces the operating system's random bytes by those of a seed. Ids and names of temporary files
// are then the same in every run, so equal images are recognized.
#pragma once

#include <cstdint>

namespace morsel::sim {

/// From now on getrandom(2) of this process returns bytes that follow from the seed.
void SeedRandomBytes(uint64_t seed);

}  // namespace morsel::sim
