// For tests: a part of a program that is built without exceptions.
#pragma once

#include <cstddef>

#include "morsel/morsel.hpp"

namespace morsel {

/// Appends `count` numbers, the first of which is 0, to a vector of int in the morsel.
/// Errors  ends the process if the morsel has no room.
void FillWithoutExceptions(Morsel& morsel, size_t count);

/// How many roots the morsel has.
size_t CountRootsWithoutExceptions(const Morsel& morsel);

}  // namespace morsel
