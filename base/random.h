// Ids: random numbers that are taken to be unique.
#pragma once

#include <array>

#include "base/result.h"

namespace morsel {

using Id = std::array<unsigned char, 16>;

/// Draws 16 bytes from the operating system's random number generator.
/// Errors  by errno of getrandom(2), see FailErrno(): usually kIo.
Result<Id> RandomId();

}  // namespace morsel
