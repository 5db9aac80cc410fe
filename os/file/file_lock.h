// Locks on files. All are tried and never waited for. Each ends when the last descriptor of its
// file description is closed; forked children have such descriptors, too.
#pragma once

#include <string>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::os {

/// Locks `file` with flock(2), without waiting: shared if `read_only`, else exclusive. Messages
/// call the file `subject`, e.g. "pool '/data'".
/// Errors  kBusy: another has the lock; the message names the process if the kernel does. kIo.
Status LockFile(const File& file, bool read_only, const std::string& subject);

/// Makes this process the one that writes `file`, which is open for writing. The lock is on the
/// file itself, whatever names it has, and independent of LockFile(). It is one that only who may
/// write the file can take from others (F_OFD_SETLK of fcntl(2)): where somebody who may only read
/// has put a lock in its place, the call succeeds without it.
/// Errors  kBusy: another writes the file; the message names the process if /proc does.
///         kUnsupported: the file system has no such locks. kIo.
Status LockForWriting(const File& file, const std::string& subject);

/// Whether nobody writes `file`, which is open for reading. If so, nobody begins to until the file
/// is closed.
bool KeepFromWriting(const File& file);

}  // namespace morsel::os
