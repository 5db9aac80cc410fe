// The umask of the process.
#pragma once

#include <sys/types.h>

namespace morsel::os {

/// Returns what the umask leaves of `mode`, for a file whose permissions come from another file and
/// not from its maker's wish. umask(2) itself can only be read by changing it, which other threads
/// would notice; where /proc does not tell it, only the owner's bits are left.
/// Threads  any.
mode_t WithoutUmask(mode_t mode);

}  // namespace morsel::os
