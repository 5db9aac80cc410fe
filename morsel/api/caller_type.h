// The types of objects, as callers of the C API give them.
#pragma once

#include <string>

#include "base/result.h"
#include "morsel/roots.h"
#include "morsel/roots/root_type.h"

namespace morsel {

/// Returns the type that the caller's structure says; nullptr: none.
/// call       the function that was called, for the message.
/// Ownership  `name` gets what is kept of the type's name, and the type leads to it.
/// Errors     kInvalidArgument.
Result<RootType> TypeOfCaller(const morsel_type* caller, const char* call, std::string* name);

}  // namespace morsel
