// Chooses the method by which written pages are found.
//
// `scan`     userfaultfd write-protects the frames, and the kernel itself notes the first store to
//            each page. PAGEMAP_SCAN reports these pages and protects them again. Needs Linux 6.7.
// `fault`    A thread of ours answers the first store to each page by taking the protection away.
//            The page tables tell later which pages have none; of each 256 MiB that was never
//            touched nobody asks (first_touches.h). Needs Linux 5.7, or 5.19 for hugetlb
//            and memory files, and the right to answer faults of system calls: root,
//            CAP_SYS_PTRACE, vm.unprivileged_userfaultfd or /dev/userfaultfd.
// `compare`  Nothing is known. Whoever stores an image compares all of it.
//
// The first method that the kernel has and allows is used, unless MORSEL_DIRTY names one.
#pragma once

#include <memory>

#include "base/result.h"
#include "os/memory/dirty_tracker.h"

namespace morsel::os {

/// Opens a tracker of the method that MORSEL_DIRTY names, or of the first that works.
/// Errors  kInvalidArgument: MORSEL_DIRTY names no method; kUnsupported: it names one that this
///         kernel does not have, or that this process may not use.
Result<std::unique_ptr<DirtyTracker>> OpenDirtyTracker();

// Each opens a tracker of one method.
// Errors  nullptr and errno: the kernel does not have the method, or this process may not use it.

/// `scan`: the kernel notes which pages are written (PAGEMAP_SCAN).
std::unique_ptr<DirtyTracker> OpenScanTracker();
/// `fault`: a thread of the library answers the first store to each page.
std::unique_ptr<DirtyTracker> OpenFaultTracker();

}  // namespace morsel::os
