// What a path is, and so what kind of pool it can hold.
#pragma once

#include <string>

#include "base/result.h"
#include "os/file/system_calls.h"

namespace morsel::pmem {

enum class PathKind { kDeviceDax, kDirectory, kRegularFile };

/// Looks and touches nothing.
/// Errors  kNotFound; kPermission; kInvalidArgument, saying what it is: nothing that holds a pool.
Result<PathKind> KindOfPath(const std::string& path);

enum class Medium {
  kDeviceDax,
  kDaxDirectory,  ///< on a file system that is known to be DAX
  kMemory,        ///< a file or directory of a file system that is gone at power-off: tmpfs
  kDirectory,
  kRegularFile,
};

/// "device-dax", "fsdax", "memory", "ssd"; a regular file is "file". Static.
const char* MediumName(Medium medium);

/// As KindOfPath(). Whether a directory's file system is DAX is asked by mapping a file without a
/// name with MAP_SYNC: the directory's own attributes do not tell. Where no such file can be made
/// (a read-only directory, a full disk) or may be, DAX is not known and the directory is an
/// ordinary one.
Result<Medium> MediumOf(SystemCalls& calls, const std::string& path, bool may_make_file = true);

}  // namespace morsel::pmem
