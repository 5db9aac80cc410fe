// The parts of a medium that the kernel knows to be bad, and those that cannot be read now.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::pmem {

/// A range of bytes of a file, a device or memory.
struct ByteRange {
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

/// A piece of a file: `offset` is where it lies in the file, `on_device` where on the device.
struct DeviceExtent {
  uint64_t offset = 0;
  uint64_t on_device = 0;
  uint64_t size_bytes = 0;
};

/// The bad ranges of a device-dax device, or of a file, by the kernel's lists of bad blocks.
/// Offsets are those in the device or the file. `sys` is the path of /sys. Without a list nothing
/// is bad.
/// Errors  kIo, kPermission: the list cannot be read, or the file system does not say where it has
///         the file; kNoMemory.
Result<std::vector<ByteRange>> BadRangesOf(const os::File& file, const std::string& sys = "/sys");

/// Converts the `bad` ranges of a device to ranges of the file that consists of `extents`.
std::vector<ByteRange> BadOfFile(const std::vector<DeviceExtent>& extents,
                                 const std::vector<ByteRange>& bad);

/// The pages of [memory, memory + size_bytes) that the medium cannot serve, as ranges that count
/// from `memory`. Adjacent pages are one range. No signal is raised. Before Linux 5.14 nothing is
/// found.
/// Units  `memory` is a multiple of the page size, size_bytes one of kSubtreeBytes.
std::vector<ByteRange> UnreadableRanges(const void* memory, uint64_t size_bytes);

}  // namespace morsel::pmem
