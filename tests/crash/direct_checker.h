// Compares a reopened fine morsel with what its writer's log says.
#pragma once

#include <cstdint>
#include <string>

#include "tests/crash/direct_log.h"
#include "tests/crash/process.h"

namespace morsel::crash {

struct DirectCheckOptions {
  uint64_t seed = 0;
  uint64_t fresh_blocks = 10'000;
  /// Blocks that may be allocated without being reachable, beside what the log says was in flight.
  /// A kill keeps all that was stored, so that there are none; a power cut may leave as many as
  /// morsel.h says.
  uint64_t forgotten_blocks_max = 0;
};

/// Opens the pool, and tells all that is wrong:
///   - it does not open or close, or is not valid as `morselctl check` sees it;
///   - a slot has not the object that the log says, byte for byte; of a change in flight, neither;
///   - an object is not in an allocated block of its own that has room for it;
///   - more is allocated than is reachable and may have been forgotten;
///   - a new block overlaps another block, or changes its bytes.
/// Afterwards the log says of each change in flight what became of it, and what was forgotten is
/// freed.
Findings CheckDirect(const std::string& pool_path, const DirectCheckOptions& options,
                     DirectLog& log);

}  // namespace morsel::crash
