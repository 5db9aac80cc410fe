#include "pmem/media/medium.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "base/units.h"
#include "os/file/file.h"

namespace morsel::pmem {
namespace {

// The kernel's subsystem of a character device, e.g. "dax" or "mem"; "" if it has none.
std::string SubsystemOf(dev_t device) {
  char link[96];
  std::snprintf(link, sizeof link, "/sys/dev/char/%u:%u/subsystem", major(device), minor(device));
  char target[PATH_MAX];
  const ssize_t length = readlink(link, target, sizeof target - 1);
  if (length < 0) return "";
  target[length] = '\0';
  const char* const last = std::strrchr(target, '/');
  return last == nullptr ? target : last + 1;
}

const char* KindName(mode_t mode) {
  if (S_ISBLK(mode)) return "a block device: mount a file system on it";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a character device other than device-dax";
}

bool IsMemory(const std::string& path) {
  struct statfs status;
  if (statfs(path.c_str(), &status) != 0) return false;
  switch (static_cast<uint32_t>(status.f_type)) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
    case HUGETLBFS_MAGIC:
      return true;
    default:
      return false;
  }
}

bool IsDax(os::SystemCalls& calls, const std::string& path) {
  const int descriptor = calls.OpenAt(AT_FDCWD, path.c_str(), O_TMPFILE | O_RDWR, 0600);
  if (descriptor < 0) return false;
  const os::File file(calls, descriptor, path);
  if (!file.Resize(kPageBytes).ok()) return false;
  void* const mapped = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE,
                            MAP_SHARED_VALIDATE | MAP_SYNC, file.descriptor(), 0);
  if (mapped == MAP_FAILED) return false;
  munmap(mapped, kPageBytes);
  return true;
}

}  // namespace

Result<PathKind> KindOfPath(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return FailErrno("'%s'", path.c_str());
  if (S_ISDIR(status.st_mode)) return PathKind::kDirectory;
  if (S_ISREG(status.st_mode)) return PathKind::kRegularFile;
  if (S_ISCHR(status.st_mode) && SubsystemOf(status.st_rdev) == "dax") return PathKind::kDeviceDax;
  return Fail(Code::kInvalidArgument,
              "'%s' is %s; a pool is a directory, a regular file or a device-dax device",
              path.c_str(), KindName(status.st_mode));
}

const char* MediumName(Medium medium) {
  switch (medium) {
    case Medium::kDeviceDax:
      return "device-dax";
    case Medium::kDaxDirectory:
      return "fsdax";
    case Medium::kMemory:
      return "memory";
    case Medium::kDirectory:
      return "ssd";
    case Medium::kRegularFile:
      return "file";
  }
  return "unknown";
}

Result<Medium> MediumOf(os::SystemCalls& calls, const std::string& path, bool may_make_file) {
  const Result<PathKind> kind = KindOfPath(path);
  if (!kind) return kind.status();
  if (*kind == PathKind::kDeviceDax) return Medium::kDeviceDax;
  if (IsMemory(path)) return Medium::kMemory;
  if (*kind == PathKind::kRegularFile) return Medium::kRegularFile;
  return may_make_file && IsDax(calls, path) ? Medium::kDaxDirectory : Medium::kDirectory;
}

}  // namespace morsel::pmem
