// Compares a heap that is opened again with what its writer's log says.
#pragma once

#include <cstdint>
#include <string>

#include "tests/crash/heap/heap_log.h"
#include "tests/crash/process.h"

namespace morsel::crash {

struct HeapCheckOptions {
  uint64_t seed = 0;
  uint64_t fresh_blocks = 100'000;
};

/// What a kill had left allocated that nobody reaches.
struct HeapLeak {
  uint64_t freed = 0;  ///< by one thread, at most
  uint64_t never_linked = 0;
  uint64_t never_given = 0;  ///< taken ahead, or by threads that were inside the heap
};

/// Opens the heap, and tells all that is wrong:
///   - it does not open or close, or is not valid;
///   - a slot has not the object that the log says, byte for byte; of a change in flight, neither;
///   - an object is not in an allocated block of its own that has room for it;
///   - a block that nobody reaches was neither freed nor held by a thread, nor being taken, nor may
///   have been taken ahead; or more
///     that one thread freed are allocated than alloc/heap/heap.h says;
///   - a new block overlaps another block, or changes its bytes;
///   - after a clean close and an open something else is allocated.
/// Afterwards the log says of each change in flight what became of it, and what nobody reaches is
/// freed.
Findings CheckHeap(const std::string& path, const HeapCheckOptions& options, HeapLog& log,
                   HeapLeak* leak);

}  // namespace morsel::crash
