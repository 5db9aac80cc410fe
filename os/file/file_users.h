// Which processes use a file, as far as this one may look into /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "os/file/file.h"

namespace morsel::os {

/// Names the process that has an exclusive lock (F_OFD_SETLK) which begins at the byte `begin` of
/// the file: "process 4711", "this process", or "another process" if /proc does not show it.
std::string HolderOfLock(const File& file, uint64_t begin);

/// Names another process that has the file open for writing, or this one if it has by another
/// descriptor; empty if /proc shows none.
std::string OtherWriterOf(const File& file);

/// How many locks of F_OFD_SETLK for reading, this process' own included, lie on `byte` of the file
/// and on no other byte; 0 if /proc shows none.
int ReadersOfByte(const File& file, uint64_t byte);

/// Names another process that has the character device open or mapped; empty if /proc shows none.
std::string OtherUserOfDevice(dev_t device);

}  // namespace morsel::os
