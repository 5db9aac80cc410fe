// Chooses how written pages are found.
//
// `scan`: userfaultfd write-protects the frames, the kernel notes each first store by itself, and
// PAGEMAP_SCAN tells them and protects them again (Linux 6.7 and later). `fault`: a thread of ours
// answers each first store and takes the protection away, and the page tables tell later where
// there is none (Linux 5.7 and later, of hugetlb and memory files 5.19; needs the right to answer
// the faults of system calls: root, CAP_SYS_PTRACE, vm.unprivileged_userfaultfd or
// /dev/userfaultfd). `compare`: nothing is known, and whoever stores an image compares all of it.
// The first that the kernel has and allows is used; MORSEL_DIRTY chooses one.
#pragma once

#include <memory>

#include "base/result.h"
#include "os/memory/dirty_tracker.h"

namespace morsel::pmem {

/// Errors  kInvalidArgument: MORSEL_DIRTY names no method; kUnsupported: it names one that this
///         kernel does not have, or does not allow to this process.
Result<std::unique_ptr<DirtyTracker>> OpenDirtyTracker();

}  // namespace morsel::pmem
