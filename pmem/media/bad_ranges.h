// Which parts of a medium the kernel knows to be bad, and which cannot be read now.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::pmem {

struct ByteRange {
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

/// A piece of a file: where it is in the file and where on the device.
struct DeviceExtent {
  uint64_t offset = 0;
  uint64_t on_device = 0;
  uint64_t size_bytes = 0;
};

/// What the kernel's lists of bad blocks say of the device, or of what is below the file, in
/// offsets of the device or file. `sys` is where the kernel says it.
/// Errors  kIo: the list is there and cannot be read; the file system does not say where it has
///         the file.
Result<std::vector<ByteRange>> BadRangesOf(const File& file, const std::string& sys = "/sys");

/// `bad` ranges of a device as ranges of the file that has `extents` of it.
std::vector<ByteRange> BadOfFile(const std::vector<DeviceExtent>& extents,
                                 const std::vector<ByteRange>& bad);

/// The pages of [memory, memory + size_bytes), multiples of kSubtreeBytes, that the medium cannot
/// serve, as runs of offsets in it. No signal is raised; a kernel before Linux 5.14 finds nothing.
std::vector<ByteRange> UnreadableRanges(const void* memory, uint64_t size_bytes);

}  // namespace morsel::pmem
