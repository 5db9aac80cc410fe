// Where a thread of ours answers the first store to each page.
#pragma once

#include <memory>

#include "os/memory/dirty_tracker.h"

namespace morsel::pmem {

/// Null, and errno, where the kernel does not have it, or does not allow it to this process.
std::unique_ptr<DirtyTracker> OpenFaultTracker();

}  // namespace morsel::pmem
