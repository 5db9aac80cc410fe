// How many rounds a test runs, and from which seed.
#pragma once

#include <cstdint>

namespace morsel::crash {

/// Returns $MORSEL_SEED, or a random number if that is not set. Prints it.
uint64_t Seed();

/// Returns `rounds`, or fewer where a sanitizer leaves no time for all of them.
uint64_t Rounds(uint64_t rounds);

}  // namespace morsel::crash
