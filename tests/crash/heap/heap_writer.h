// The process that works on a heap with 1 to 8 threads until it is killed.
#pragma once

#include <cstdint>
#include <string>

#include "tests/crash/heap/heap_log.h"
#include "tests/crash/heap/heap_worker.h"

namespace morsel::crash {

/// Opens the heap and runs a mixed workload. Closes and reopens the heap after each session,
/// `sessions` times; 0: without end.
/// Returns  the exit status. Fail() may end the process before.
int RunHeapWriter(const std::string& path, uint64_t seed, uint64_t sessions, HeapLie lie,
                  HeapLog& log);

}  // namespace morsel::crash
