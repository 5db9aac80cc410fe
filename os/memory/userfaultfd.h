// What both trackers that use userfaultfd(2) need.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "os/memory/frames.h"

namespace morsel::os {

/// Opens a userfaultfd with exactly these features. `flags` are those of userfaultfd(2).
/// Ownership  the caller closes the descriptor.
/// Errors     -1 and errno.
int OpenUserfaultfd(int flags, uint64_t features);

/// Registers the frames from offset `begin` on for write protection.
/// Errors  by errno, see FailErrno().
Status RegisterFrames(int userfaultfd, const Frames& frames, uint64_t begin);

/// Calls FailErrno() with a message that says what was done with which memory; `what` is e.g.
/// "tracking".
Status FailErrnoOfMemory(const char* what, const void* memory, uint64_t size_bytes);

}  // namespace morsel::os
