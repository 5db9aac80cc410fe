// Sizes as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace morsel {

/// At most one decimal, rounded: "640 B", "2 MiB", "1.5 GiB".
std::string FormatSize(uint64_t bytes);

/// FormatSize(), and all digits where that is not the same: "1.5 GiB (1610612737 bytes)".
std::string FormatSizeFully(uint64_t bytes);

/// As short as it can be and yet exact: "4 MiB", "1.5 GiB (1610612737 bytes)". For what is
/// compared.
std::string FormatSizeExactly(uint64_t bytes);

}  // namespace morsel
