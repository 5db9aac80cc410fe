#include "pmem/media/path_kind.h"

#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/error.h"

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

}  // namespace morsel::pmem
