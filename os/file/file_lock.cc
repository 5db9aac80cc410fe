#include "os/file/file_lock.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "base/descriptor_floor.h"
#include "base/error.h"

namespace morsel::os {
namespace {

// Names the process that holds the lock: /proc/locks lists kind, process, device and inode of each.
std::string HolderOf(const File& file) {
  std::string holder = "another process";
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) return holder;
  const DescriptorFloor floor;
  std::FILE* const locks = std::fopen("/proc/locks", "re");
  if (locks == nullptr) return holder;
  char line[256];
  while (std::fgets(line, sizeof line, locks) != nullptr) {
    char kind[16];
    int process = 0;
    unsigned device_major = 0;
    unsigned device_minor = 0;
    uint64_t inode = 0;
    if (std::sscanf(line, "%*s %15s %*s %*s %d %x:%x:%" SCNu64, kind, &process, &device_major,
                    &device_minor, &inode) == 5 &&
        std::strcmp(kind, "FLOCK") == 0 && inode == status.st_ino &&
        device_major == major(status.st_dev) && device_minor == minor(status.st_dev)) {
      holder = process == getpid() ? "this process" : "process " + std::to_string(process);
      break;
    }
  }
  std::fclose(locks);
  return holder;
}

}  // namespace

Status LockFile(const File& file, bool read_only, const std::string& subject) {
  int failed = 0;
  do {
    failed = flock(file.descriptor(), (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB);
  } while (failed != 0 && errno == EINTR);
  if (failed == 0) return Code::kOk;
  if (errno != EWOULDBLOCK) return FailErrno("%s cannot be locked", subject.c_str());
  const std::string holder = HolderOf(file);
  return Fail(Code::kBusy,
              read_only
                  ? "%s is open for writing in %s; close it there first"
                  : "%s is open in %s, and who writes must be alone; close it there first, or "
                    "open it read-only",
              subject.c_str(), holder.c_str());
}

}  // namespace morsel::os
