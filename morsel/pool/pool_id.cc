#include "morsel/pool/pool_id.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>

#include "base/checksum.h"
#include "base/error.h"
#include "base/on_heap.h"
#include "os/file/file.h"

namespace morsel {
namespace {

Result<os::File> OpenToRead(const std::string& path) {
  return os::File::Open(os::KernelCalls(), AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0,
                        path);
}

std::optional<Id> IdOfDirectory(const std::string& path) {
  const Result<os::File> file = OpenToRead(path + "/" + kPoolFileName);
  PoolFileLayout layout;
  if (!file || !file->ReadExactly(&layout, sizeof layout, 0).ok()) return std::nullopt;
  const bool is_one = layout.magic == kPoolFileMagic && layout.checksum == ChecksumOf(layout);
  return is_one ? std::optional(layout.id) : std::nullopt;
}

std::optional<Id> IdOfCarved(const std::string& path) {
  const Result<os::File> file = OpenToRead(path);
  for (uint64_t number = 0; file && number < kSuperblocks; ++number) {
    OnHeap<PoolSuperblock> superblock;
    const uint64_t offset = number * kSuperblockBytes;
    if (!file->ReadExactly(&*superblock, sizeof *superblock, offset).ok()) return std::nullopt;
    if (superblock->magic != kPoolMagic || superblock->checksum != ChecksumOf(*superblock)) {
      continue;
    }
    Id id;
    std::copy(std::begin(superblock->id), std::end(superblock->id), id.begin());
    return id;
  }
  return std::nullopt;
}

}  // namespace

uint64_t ChecksumOf(PoolFileLayout layout) {
  layout.checksum = 0;
  return Checksum64(&layout, sizeof layout);
}

uint64_t ChecksumOf(const PoolSuperblock& superblock) {
  OnHeap<PoolSuperblock> summed = superblock;
  summed->checksum = 0;
  return Checksum64(&*summed, sizeof *summed);
}

std::optional<Id> PoolIdAt(const std::string& path) {
  const KeepLastError keep;
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  if (S_ISDIR(status.st_mode)) return IdOfDirectory(path);
  return S_ISREG(status.st_mode) ? IdOfCarved(path) : std::nullopt;
}

}  // namespace morsel
