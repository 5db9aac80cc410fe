// The method `fault`: a thread of the library answers the first store to each page.
#pragma once

#include <memory>

#include "os/memory/dirty_tracker.h"

namespace morsel::os {

/// Opens a tracker of this method.
/// Errors  nullptr and errno: the kernel does not have the method, or this process may not use it.
std::unique_ptr<DirtyTracker> OpenFaultTracker();

}  // namespace morsel::os
