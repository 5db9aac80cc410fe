// A device-dax device: a character device that can be mapped and nothing else.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "os/file/file.h"
#include "pmem/persist/persist.h"

namespace morsel::pmem {

struct DaxDevice {
  uint64_t size_bytes = 0;
  uint64_t align_bytes = 0;  ///< of every mapping's offset and length; what one entry maps at best
};

/// What the kernel says of an open device. `sys_dev_char` is where the kernel says it.
/// Errors  kUnsupported: it is no such device, or is switched to another use; kIo.
Result<DaxDevice> DaxDeviceOf(const File& file, const std::string& sys_dev_char = "/sys/dev/char");

/// Makes memory zero that may hold anything: a device has no holes to punch. Nothing of it comes
/// into the caches.
/// Durability  on return.
void StoreZeros(void* memory, uint64_t size_bytes, Persist persist);

}  // namespace morsel::pmem
