// Who has a file: one writer, or any number of readers.
#pragma once

#include <string>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::pmem {

/// flock(2) on `file`, without waiting: shared to read, else exclusive. `subject` is what sentences
/// call it, e.g. "pool '/data'".
/// Ownership  the lock goes with the last descriptor of this open file, in children too.
/// Errors     kBusy, naming the process that has it where the kernel tells; kIo.
Status LockFile(const File& file, bool read_only, const std::string& subject);

}  // namespace morsel::pmem
