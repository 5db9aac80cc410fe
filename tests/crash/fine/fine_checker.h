// Compares a reopened fine morsel with what its writer's log says.
#pragma once

#include <cstdint>
#include <string>

#include "tests/crash/fine/fine_log.h"
#include "tests/crash/process.h"

namespace morsel::crash {

struct FineCheckOptions {
  uint64_t seed = 0;
  uint64_t fresh_blocks = 10'000;
};

/// Opens the pool, and tells all that is wrong:
///   - it does not open or close, or is not valid as `morselctl check` sees it;
///   - a slot has not the object that the log says, byte for byte; of a change in flight, neither;
///   - an object is not in an allocated block of its own that has room for it;
///   - more is allocated than is reachable, was in flight, or was freed shortly before: of these,
///   as
///     many as morsel.h says;
///   - a new block overlaps another block, or changes its bytes.
/// Afterwards the log says of each change in flight what became of it, and what was forgotten is
/// freed.
Findings CheckFine(const std::string& pool_path, const FineCheckOptions& options, FineLog& log);

}  // namespace morsel::crash
