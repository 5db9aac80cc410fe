// Makes a device-dax device a pool. It looks first for data that somebody may still need.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "os/file/system_calls.h"

namespace morsel {

/// Names what the first bytes of a device belong to, e.g. "an XFS file system", or returns "" if no
/// signature is known. Give it the first 128 KiB: all known signatures lie in them.
std::string SignatureIn(const char* bytes, size_t size_bytes);

enum class DeviceData {
  kMustBeAbsent,  ///< a device that holds data is refused
  kIsDestroyed,   ///< the user has agreed to lose what this device holds
};

/// Makes the device at `path` a pool.
///
/// The search for data reads everything that the pool's metadata will take, and one page in each
/// 64 MiB after that. The search for users of the device sees the processes that this one may
/// inspect.
///
/// Durability  on return; after a crash before that, the device holds the pool that it held before
///             (if any), no pool, or this one.
/// Errors      kExists: the device holds data, and the message says what is known of it; kBusy: a
///             process uses it, whatever `data` says; kInvalidArgument: it is no device-dax device,
///             or too small; kUnsupported: it is not persistent memory; kPermission; kNoMemory;
///             kIo.
Status FormatDevice(const std::string& path, DeviceData data, os::SystemCalls& calls);

}  // namespace morsel
