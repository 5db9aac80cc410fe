// Checks a pool as `morselctl check` does.
#pragma once

#include <string>

#include "tests/crash/process.h"

namespace morsel::crash {

/// Opens the pool read-only, so that nothing on the medium changes. Call it in a process that has
/// none of the pool's morsels open.
Findings Validate(const std::string& pool_path);

}  // namespace morsel::crash
