// What `morselctl check` would say of a pool.
#pragma once

#include <string>

#include "tests/crash/process.h"

namespace morsel::crash {

/// Opens the pool read-only, so that nothing on the medium changes. In a process that has none of
/// its morsels open.
Findings Validate(const std::string& pool_path);

}  // namespace morsel::crash
