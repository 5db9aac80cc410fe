// The lock on a file: one writer, or any number of readers.
#pragma once

#include <string>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::os {

/// Locks `file` with flock(2), without waiting: shared if `read_only`, else exclusive. Messages
/// call the file `subject`, e.g. "pool '/data'".
/// Ownership  the lock ends when the last descriptor of this file description is closed. Forked
///            children have such descriptors, too.
/// Errors     kBusy: another has the lock; the message names the process if the kernel does. kIo.
Status LockFile(const File& file, bool read_only, const std::string& subject);

}  // namespace morsel::os
