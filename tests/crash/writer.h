// The process that works on a heap with 1 to 8 threads until it is killed.
#pragma once

#include <cstdint>

#include "tests/crash/worker.h"

namespace morsel::crash {

/// Opens the heap and runs a mixed workload. Closes and reopens the heap after each session,
/// `sessions` times; 0: without end.
/// Returns  the exit status. Fail() may end the process before.
int RunWriter(CrashHeap& heap, uint64_t seed, uint64_t sessions, Lie lie);

}  // namespace morsel::crash
