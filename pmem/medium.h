// What a path is, and so what kind of pool it can hold.
#pragma once

#include <string>

#include "base/result.h"
#include "pmem/system_calls.h"

namespace morsel::pmem {

enum class PathKind { kDeviceDax, kDirectory, kRegularFile };

/// Looks and touches nothing.
/// Errors  kNotFound; kPermission; kInvalidArgument, saying what it is: nothing that holds a pool.
Result<PathKind> KindOfPath(const std::string& path);

enum class Medium {
  kDeviceDax,
  kDaxDirectory,  ///< on a file system that is known to be DAX
  kDirectory,
  kRegularFile,
};

/// "device-dax", "fsdax", "ssd"; a regular file is "file". Static.
const char* MediumName(Medium medium);

/// As KindOfPath(), and asks a directory's file system whether it is DAX by mapping a file without
/// a name with MAP_SYNC: the directory's own attributes do not tell. Where no such file can be made
/// (a read-only directory, a full disk), DAX is not known and the directory is an ordinary one.
Result<Medium> MediumOf(SystemCalls& calls, const std::string& path);

}  // namespace morsel::pmem
