// Finds out what a path is, and so what kind of pool it can hold.
#pragma once

#include <string>

#include "base/result.h"

namespace morsel::pmem {

/// The kinds of path that can hold a pool.
enum class PathKind { kDeviceDax, kDirectory, kRegularFile };

/// The kind of the path, by stat(2). It opens and changes nothing.
/// Errors  kNotFound; kPermission; kInvalidArgument: it can hold no pool, and the message says what
///         it is.
Result<PathKind> KindOfPath(const std::string& path);

}  // namespace morsel::pmem
