// Sizes in bytes, written for people.
#pragma once

#include <cstdint>
#include <string>

namespace morsel {

/// The size in the largest unit that fits, rounded to at most one decimal: "640 B", "2 MiB",
/// "1.5 GiB".
std::string FormatSize(uint64_t bytes);

/// The exact size: FormatSize() if it is a whole number of its unit, else with the number of bytes:
/// "4 MiB", "1.5 GiB (1610612737 bytes)". It is for sizes that people compare.
std::string FormatSizeExactly(uint64_t bytes);

}  // namespace morsel
