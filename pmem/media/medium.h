// Finds out what a path is, and so what kind of pool it can hold.
#pragma once

#include <string>

#include "base/result.h"
#include "os/file/system_calls.h"

namespace morsel::pmem {

/// The kinds of path that can hold a pool.
enum class PathKind { kDeviceDax, kDirectory, kRegularFile };

/// The kind of the path, by stat(2). It opens and changes nothing.
/// Errors  kNotFound; kPermission; kInvalidArgument: it can hold no pool, and the message says what
///         it is.
Result<PathKind> KindOfPath(const std::string& path);

/// What a pool is stored on.
enum class Medium {
  kDeviceDax,
  kDaxDirectory,  ///< on a file system that is known to be DAX
  kMemory,        ///< file or directory of a file system that is lost at power-off, e.g. tmpfs
  kDirectory,     ///< a directory on any other file system
  kRegularFile,   ///< a file that is not in memory
};

/// The medium's name for users, in the order above: "device-dax", "fsdax", "memory", "ssd", "file".
/// Ownership  a static string.
const char* MediumName(Medium medium);

/// The medium below the path. A directory's own attributes do not tell whether its file system is
/// DAX. So, if `may_make_file`, an unnamed file is made there and mapped with MAP_SYNC. If no such
/// file can or may be made (a read-only directory, a full disk), the medium is kDirectory.
/// Errors  as KindOfPath().
Result<Medium> MediumOf(os::SystemCalls& calls, const std::string& path, bool may_make_file = true);

}  // namespace morsel::pmem
