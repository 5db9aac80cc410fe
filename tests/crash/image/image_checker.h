// Compares a reopened snapshot morsel with what its writer's log says.
#pragma once

#include <cstdint>
#include <string>

#include "tests/crash/image/image_log.h"
#include "tests/crash/process.h"

namespace morsel::crash {

struct ImageCheckOptions {
  uint64_t seed = 0;
  uint64_t fresh_blocks = 10'000;
};

/// Opens the pool, and tells all that is wrong:
///   - it does not open or close, or is not valid as `morselctl check` sees it;
///   - the morsel is neither the last checkpoint nor the one under way: byte for byte, or, where
///     others were in the allocator, library for library, with a consistent cut of the heap;
///   - a new block overlaps another block, or changes the library;
///   - the side morsel is neither as before nor as after what was under way;
///   - something else is left in the pool.
/// Afterwards the log says what was found of what was under way.
Findings CheckImage(const std::string& pool_path, const ImageCheckOptions& options, ImageLog& log);

}  // namespace morsel::crash
