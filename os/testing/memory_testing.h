// For tests that allocate and free megabytes thousands of times.
#pragma once

#include <malloc.h>

#include "base/units.h"

namespace morsel::os {

/// Makes malloc keep freed memory in the process. If the kernel got it back each time, such a test
/// would mostly wait for the kernel, which takes the pages back, makes them anew and zeroes them.
inline void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, static_cast<int>(32 * kMiB));
  mallopt(M_TRIM_THRESHOLD, static_cast<int>(kGiB));
}

}  // namespace morsel::os
