// Where the kernel notes by itself which pages are written (PAGEMAP_SCAN).
#pragma once

#include <memory>

#include "os/memory/dirty_tracker.h"

namespace morsel::pmem {

/// Null, and errno, where the kernel does not have it, or does not allow it to this process.
std::unique_ptr<DirtyTracker> OpenScanTracker();

}  // namespace morsel::pmem
