// Compares a reopened fine morsel with its writer's log.
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

/// Opens the pool and returns everything that is wrong:
///   - it does not open or close, or `morselctl check` would find it invalid;
///   - a slot does not hold the object of the log, byte for byte; during a change, neither the old
///     nor the new one;
///   - an object is not in an allocated block of its own that is large enough;
///   - more is allocated than is reachable, was in flight, or was freed shortly before, where
///     morsel.h bounds the last;
///   - a new block overlaps another block, or changes its bytes.
/// Afterwards the log says what became of each change in flight, and blocks without an owner are
/// freed.
Findings CheckFine(const std::string& pool_path, const FineCheckOptions& options, FineLog& log);

}  // namespace morsel::crash
