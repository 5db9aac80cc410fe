// Numbers nobody else has: ids.
#pragma once

#include <array>

#include "base/result.h"

namespace morsel {

using Id = std::array<unsigned char, 16>;

/// 16 bytes from the operating system's generator.
/// Errors  kIo.
Result<Id> RandomId();

}  // namespace morsel
