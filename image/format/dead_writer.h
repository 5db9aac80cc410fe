// The end of what a writer that is dead has left in flight.
#pragma once

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::image {

/// Waits until whatever a process has begun to write to the image past the page cache, and was
/// killed over, has reached the file: it may come after the process has gone, and its lock with it.
/// The caller has that lock. Where the file system cannot make holes, nobody waits, and where the
/// block that is never written has something (version 4, which is not written).
///
/// Durability  none: nothing that the file holds changes.
/// Errors      kIo, kNoSpace.
/// Cost        one read of 4 KiB, one fallocate of a hole, some microseconds.
Status AwaitDeadWriter(const os::File& file);

}  // namespace morsel::image
