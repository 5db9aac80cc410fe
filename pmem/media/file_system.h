// Finds out which file system a path is on.
#pragma once

#include <string>

namespace morsel::pmem {

/// Returns the kernel's name of the file system, e.g. "ext4" or "tmpfs", or "unknown".
std::string FileSystemOf(const std::string& path);

}  // namespace morsel::pmem
