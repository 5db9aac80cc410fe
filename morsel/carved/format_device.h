// Makes a device-dax device a pool: what it holds may be somebody's data, so that
// this looks first.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "os/file/system_calls.h"

namespace morsel {

/// What the first bytes of a device say that is on it, e.g. "an XFS file system"; "" where they say
/// nothing. At least 128 KiB are looked at.
std::string SignatureIn(const char* bytes, size_t size_bytes);

enum class DeviceData {
  kMustBeAbsent,  ///< nothing is formatted over
  kIsDestroyed,   ///< the user said so, and of this device
};

/// Makes the device at `path` a pool.
///
/// All that the pool's own metadata take is looked at for data, beyond that one page in each 64
/// MiB. Who uses the device is looked for among the processes that this one may look at.
///
/// Durability  on return; after a crash before, there is no pool on it, or this one.
/// Errors      kExists: it holds data, and says what is known of it; kBusy: a process uses it,
/// whatever
///             `data` says; kInvalidArgument: it is no such device, or too small; kUnsupported: it
///             is not persistent memory; kPermission; kNoMemory; kIo.
Status FormatDevice(const std::string& path, DeviceData data, pmem::SystemCalls& calls);

}  // namespace morsel
