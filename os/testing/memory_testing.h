// For tests that take and give back megabytes thousands of times.
#pragma once

#include <malloc.h>

#include "base/units.h"

namespace morsel::pmem {

/// Freed memory stays with the process. Where the kernel has it each time, what it does to make
/// the same pages anew, zero them and take them back is most of what such a test waits for.
inline void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, static_cast<int>(32 * kMiB));
  mallopt(M_TRIM_THRESHOLD, static_cast<int>(kGiB));
}

}  // namespace morsel::pmem
