// Compares a reopened snapshot morsel with its writer's log.
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

/// Opens the pool and returns everything that is wrong:
///   - it does not open or close, or `morselctl check` would find it invalid;
///   - the morsel is neither the last checkpoint nor the one under way. It is compared byte for
///     byte, or, where other threads were in the allocator, by its library and by a consistent cut
///     of the heap;
///   - a new block overlaps another block, or changes the library;
///   - the side morsel is neither as before nor as after the work under way;
///   - something else is left in the pool.
/// Afterwards the log says what became of the work that was under way.
Findings CheckImage(const std::string& pool_path, const ImageCheckOptions& options, ImageLog& log);

}  // namespace morsel::crash
