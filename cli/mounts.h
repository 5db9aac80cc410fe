// Which file system a path is on.
#pragma once

#include <string>

namespace morsel::cli {

/// The kernel's name of it, e.g. "ext4" or "tmpfs"; "unknown" where it does not tell.
std::string FileSystemOf(const std::string& path);

}  // namespace morsel::cli
