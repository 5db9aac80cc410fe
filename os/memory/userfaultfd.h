// What the trackers that need userfaultfd(2) have in common.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "os/memory/frames.h"

namespace morsel::pmem {

/// A userfaultfd with exactly these features, for the caller to close; -1 and errno.
/// `flags` are those of userfaultfd(2).
int OpenUserfaultfd(int flags, uint64_t features);

/// Registers the frames from `begin` on for write protection.
Status RegisterFrames(int userfaultfd, const Frames& frames, uint64_t begin);

/// As FailErrno(), of `what` is done with memory.
Status FailErrnoOfMemory(const char* what, const void* memory, uint64_t size_bytes);

}  // namespace morsel::pmem
