// Device-dax devices: character devices that can be mapped, and neither read nor written.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "os/file/file.h"
#include "pmem/persist/persist.h"

namespace morsel::pmem {

/// The size and the alignment of a device. Offsets and lengths of its mappings are multiples of the
/// alignment, which is also the most that one page table entry maps.
struct DaxDevice {
  uint64_t size_bytes = 0;   ///< rounded down to align_bytes
  uint64_t align_bytes = 0;  ///< 4 KiB to 1 GiB, a power of two
};

/// Reads size and alignment of an open device. `sys_dev_char` is the path of /sys/dev/char.
/// Errors  kNotFound: the kernel has none, as for other kinds of device; kUnsupported: pools cannot
///         use its alignment, or the kernel's text is no number; kPermission; kIo.
Result<DaxDevice> DaxDeviceOf(const os::File& file,
                              const std::string& sys_dev_char = "/sys/dev/char");

/// Makes memory of a device zero, whatever it holds: a device has no holes to punch. The zeros go
/// past the caches where Persist::Zero() does.
/// Durability  the zeros, on return.
void StoreZeros(void* memory, uint64_t size_bytes, Persist persist);

}  // namespace morsel::pmem
