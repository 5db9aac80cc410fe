// The process that works on a fine morsel until it is killed.
#pragma once

#include <cstdint>
#include <string>

#include "tests/crash/fine/fine_log.h"
#include "tests/crash/fine/fine_partition.h"

namespace morsel::crash {

/// Opens the pool and runs a mixed workload in several threads. Closes and reopens the pool after
/// each session, `sessions` times; 0: without end.
/// Returns  the exit status. Fail() may end the process before.
int RunFineWriter(const std::string& pool_path, uint64_t seed, uint64_t sessions, Lie lie,
                  FineLog& log);

}  // namespace morsel::crash
