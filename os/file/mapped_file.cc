#include "os/file/mapped_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace morsel::os {
namespace {

// File systems of this host alone whose direct writes take what they write out of the page cache.
// No probe could tell: a page is stale where a read and a write meet.
bool IsKnownFileSystem(uint32_t magic) {
  constexpr uint32_t kXfs = 0x58465342;
  switch (magic) {
    case EXT4_SUPER_MAGIC:
    case kXfs:
    case BTRFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool IsMappedCoherently(const File& file) {
  constexpr uint64_t kDax = 0x00200000;  // STATX_ATTR_DAX, which the headers may be too old for
  struct statfs system;
  struct statx status;
  return fstatfs(file.descriptor(), &system) == 0 &&
         IsKnownFileSystem(static_cast<uint32_t>(system.f_type)) &&
         statx(file.descriptor(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) == 0 &&
         (status.stx_attributes & kDax) == 0;
}

}  // namespace morsel::os
