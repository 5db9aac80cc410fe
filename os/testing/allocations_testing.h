// For tests: operator new, replaced. It fails as a test says, and counts. Sanitizers replace it,
// too: such tests have the tag no-sanitizer.
#pragma once

#include <atomic>

namespace morsel::os {

/// How many more allocations succeed; negative: all do.
/// Threads  one sets it; any allocate meanwhile.
extern std::atomic<long> allocations_left;

/// How often threads that are not the process' first have taken memory.
extern std::atomic<long> allocations_elsewhere;

}  // namespace morsel::os
