// Compares a reopened heap with the log of those who worked on it.
#pragma once

#include <cstdint>

#include "tests/crash/crash_heap.h"
#include "tests/crash/process.h"

namespace morsel::crash {

struct CheckOptions {
  uint64_t seed = 0;
  uint64_t fresh_blocks = 10'000;
};

/// The blocks that a kill left allocated and unreachable, by cause.
struct Leak {
  uint64_t freed = 0;  ///< the most that one thread had freed
  uint64_t never_linked = 0;
  uint64_t never_given = 0;  ///< taken ahead, or being allocated
};

/// Opens the heap and returns everything that is wrong:
///   - it does not open or close, or is not valid;
///   - a slot does not hold the object of the log, byte for byte; during a change, neither the old
///     nor the new one;
///   - an object is not in an allocated block of its own that is large enough;
///   - an unreachable block is allocated that no thread had freed, held or was being given, and
///     that no thread may have taken ahead;
///   - more unreachable blocks that one thread freed are allocated than alloc/heap/heap.h allows;
///   - a new block overlaps another block, or changes its bytes;
///   - a clean close and an open change what is allocated.
/// Afterwards the log says what became of each change in flight, and unreachable blocks are freed.
/// The heap is open if nothing was wrong.
Findings CheckWork(CrashHeap& heap, const CheckOptions& options, Leak* leak);

}  // namespace morsel::crash
