// How many rounds a test has, and from which seed.
#pragma once

#include <cstdint>

namespace morsel::crash {

/// $MORSEL_SEED, or a number that nobody has chosen. Printed.
uint64_t Seed();

/// `rounds`, or as many as a sanitizer leaves time for.
uint64_t Rounds(uint64_t rounds);

}  // namespace morsel::crash
