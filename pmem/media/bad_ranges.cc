#include "pmem/media/bad_ranges.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/descriptor_floor.h"
#include "base/error.h"
#include "base/units.h"

namespace morsel::pmem {
namespace {

constexpr uint64_t kSectorBytes = 512;

// The kernel's folder of the device that the file is, or lies on; "" if there is none.
std::string FolderOf(const struct stat& status, const std::string& sys) {
  const bool is_device = S_ISCHR(status.st_mode);
  const dev_t device = is_device ? status.st_rdev : status.st_dev;
  const std::string link = sys + (is_device ? "/dev/char/" : "/dev/block/") +
                           std::to_string(major(device)) + ":" + std::to_string(minor(device));
  char folder[PATH_MAX];
  return realpath(link.c_str(), folder) == nullptr ? "" : folder;
}

// The number in a file, which is decimal or begins with 0x; nullopt if there is none.
std::optional<uint64_t> NumberIn(const std::string& path) {
  const DescriptorFloor floor;
  std::FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return {};
  char word[32] = "";
  const bool read = std::fscanf(file, "%31s", word) == 1;
  std::fclose(file);
  char* end = word;
  const uint64_t number = std::strtoull(word, &end, 0);
  return read && *end == '\0' ? std::optional(number) : std::nullopt;
}

// Reads a list of bad blocks: lines of "sector count". Without the file nothing is known to be bad.
Result<std::vector<ByteRange>> ListIn(const std::string& path) {
  const DescriptorFloor floor;
  std::FILE* const file = std::fopen(path.c_str(), "re");
  std::vector<ByteRange> bad;
  if (file == nullptr && errno == ENOENT) return bad;
  if (file == nullptr) return FailErrno("the list of bad blocks in '%s'", path.c_str());
  uint64_t sector = 0;
  uint64_t count = 0;
  while (std::fscanf(file, "%" SCNu64 " %" SCNu64, &sector, &count) == 2) {
    bad.push_back({sector * kSectorBytes, count * kSectorBytes});
  }
  const bool whole = std::feof(file) != 0;
  std::fclose(file);
  if (whole) return bad;
  return Fail(Code::kIo, "the list of bad blocks in '%s' cannot be understood", path.c_str());
}

// Converts `bad` ranges of a whole to those of its part that begins at `begin`. The end of the part
// is not known, so ranges behind it are included.
std::vector<ByteRange> From(uint64_t begin, const std::vector<ByteRange>& bad) {
  return BadOfFile({{0, begin, UINT64_MAX - begin}}, bad);
}

// A device-dax device lies in a region, and the region has the list.
Result<std::vector<ByteRange>> BadOfDevice(const std::string& folder) {
  const size_t region = folder.find("/region");
  if (region == std::string::npos) return std::vector<ByteRange>();
  const std::string above = folder.substr(0, folder.find('/', region + 1));
  const Result<std::vector<ByteRange>> bad = ListIn(above + "/badblocks");
  if (!bad || bad->empty()) return bad;
  const std::optional<uint64_t> region_begin = NumberIn(above + "/resource");
  const std::optional<uint64_t> begin = NumberIn(folder + "/resource");
  if (region_begin && begin && *begin >= *region_begin) return From(*begin - *region_begin, *bad);
  return Fail(Code::kIo, "'%s' has bad blocks, and the kernel does not say where it begins",
              folder.c_str());
}

// Where the file lies on its device, by FIEMAP.
Result<std::vector<DeviceExtent>> ExtentsOf(const os::File& file) {
  constexpr uint32_t kExtents = 256;
  struct Free {
    void operator()(fiemap* memory) const { std::free(memory); }
  };
  const size_t bytes = sizeof(fiemap) + kExtents * sizeof(fiemap_extent);
  const std::unique_ptr<fiemap, Free> map(static_cast<fiemap*>(std::malloc(bytes)));
  if (map == nullptr) return Fail(Code::kNoMemory, "no memory for the extents of a file");
  std::vector<DeviceExtent> extents;
  for (uint64_t start = 0;;) {
    std::memset(static_cast<void*>(map.get()), 0, bytes);
    map->fm_start = start;
    map->fm_length = FIEMAP_MAX_OFFSET - start;
    map->fm_extent_count = kExtents;
    if (ioctl(file.descriptor(), FS_IOC_FIEMAP, map.get()) != 0) {
      return FailErrno("'%s': its file system does not say where it has it", file.path().c_str());
    }
    for (uint32_t i = 0; i < map->fm_mapped_extents; ++i) {
      const fiemap_extent& extent = map->fm_extents[i];
      extents.push_back({extent.fe_logical, extent.fe_physical, extent.fe_length});
      start = extent.fe_logical + extent.fe_length;
      if ((extent.fe_flags & FIEMAP_EXTENT_LAST) != 0) return extents;
    }
    if (map->fm_mapped_extents == 0) return extents;
  }
}

// A partition has no list of its own, so that of the whole device is read.
Result<std::vector<ByteRange>> BadOfBlockDevice(const std::string& folder) {
  const std::optional<uint64_t> partition = NumberIn(folder + "/partition");
  const Result<std::vector<ByteRange>> bad =
      ListIn((partition ? folder + "/.." : folder) + "/badblocks");
  if (!bad || !partition) return bad;
  return From(NumberIn(folder + "/start").value_or(0) * kSectorBytes, *bad);
}

// Whether all pages can be read. Errors that are not the medium's count as yes.
bool IsServed(const char* memory, uint64_t size_bytes) {
  if (madvise(const_cast<char*>(memory), size_bytes, MADV_POPULATE_READ) == 0) return true;
  return errno != EFAULT && errno != EHWPOISON;
}

}  // namespace

std::vector<ByteRange> BadOfFile(const std::vector<DeviceExtent>& extents,
                                 const std::vector<ByteRange>& bad) {
  std::vector<ByteRange> found;
  for (const DeviceExtent& extent : extents) {
    for (const ByteRange& range : bad) {
      const uint64_t begin = std::max(range.offset, extent.on_device);
      const uint64_t end =
          std::min(range.offset + range.size_bytes, extent.on_device + extent.size_bytes);
      if (begin < end) found.push_back({extent.offset + (begin - extent.on_device), end - begin});
    }
  }
  return found;
}

Result<std::vector<ByteRange>> BadRangesOf(const os::File& file, const std::string& sys) {
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) return FailErrno("'%s'", file.path().c_str());
  const std::string folder = FolderOf(status, sys);
  if (folder.empty()) return std::vector<ByteRange>();
  if (S_ISCHR(status.st_mode)) return BadOfDevice(folder);
  const Result<std::vector<ByteRange>> bad = BadOfBlockDevice(folder);
  if (!bad || bad->empty()) return bad;
  const Result<std::vector<DeviceExtent>> extents = ExtentsOf(file);
  if (!extents) return extents.status();
  return BadOfFile(*extents, *bad);
}

std::vector<ByteRange> UnreadableRanges(const void* memory, uint64_t size_bytes) {
  const char* const begin = static_cast<const char*>(memory);
  std::vector<ByteRange> found;
  for (uint64_t at = 0; at < size_bytes; at += kSubtreeBytes) {
    if (IsServed(begin + at, kSubtreeBytes)) continue;
    for (uint64_t page = at; page < at + kSubtreeBytes; page += kPageBytes) {
      if (IsServed(begin + page, kPageBytes)) continue;
      if (found.empty() || found.back().offset + found.back().size_bytes != page) {
        found.push_back({page, 0});
      }
      found.back().size_bytes += kPageBytes;
    }
  }
  return found;
}

}  // namespace morsel::pmem
