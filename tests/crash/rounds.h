// How many rounds a test runs.
#pragma once

#include <cstdint>

namespace morsel::crash {

/// Returns `rounds`, or fewer where a sanitizer leaves no time for all of them.
uint64_t Rounds(uint64_t rounds);

}  // namespace morsel::crash
