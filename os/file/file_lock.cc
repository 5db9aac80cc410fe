#include "os/file/file_lock.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <vector>

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

// The byte that a writer locks. No file has one there, so that no program's own locks meet it.
constexpr off_t kWritersByte = off_t{1} << 62;

struct flock WritersByte(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = kWritersByte;
  lock.l_len = 1;
  return lock;
}

// Tries to lock the byte. Returns false and sets errno.
bool TryToLock(const File& file, short type) {
  struct flock lock = WritersByte(type);
  int failed = 0;
  do {
    failed = fcntl(file.descriptor(), F_OFD_SETLK, &lock);
  } while (failed != 0 && errno == EINTR);
  return failed == 0;
}

bool IsTaken(int error) { return error == EAGAIN || error == EACCES; }

// Whether a file of /proc/PID/fdinfo has the lock of the file's writer.
bool HasWritersLock(const std::string& path, const struct stat& status) {
  const DescriptorFloor floor;
  std::FILE* const info = std::fopen(path.c_str(), "re");
  if (info == nullptr) return false;
  bool found = false;
  char line[256];
  while (!found && std::fgets(line, sizeof line, info) != nullptr) {
    unsigned device_major = 0;
    unsigned device_minor = 0;
    uint64_t inode = 0;
    int64_t begin = 0;
    found = std::sscanf(line, "lock: %*s OFDLCK %*s WRITE %*s %x:%x:%" SCNu64 " %" SCNd64,
                        &device_major, &device_minor, &inode, &begin) == 4 &&
            inode == status.st_ino && device_major == major(status.st_dev) &&
            device_minor == minor(status.st_dev) && begin == kWritersByte;
  }
  std::fclose(info);
  return found;
}

// The entries of a folder of /proc that are numbers.
std::vector<std::string> NumbersIn(const std::string& folder) {
  std::vector<std::string> numbers;
  const DescriptorFloor floor;
  DIR* const entries = opendir(folder.c_str());
  if (entries == nullptr) return numbers;
  while (const dirent* const entry = readdir(entries)) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0]))) {
      numbers.emplace_back(entry->d_name);
    }
  }
  closedir(entries);
  return numbers;
}

// Names the process that writes the file, as far as this one may look at others.
std::string WriterOf(const File& file) {
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) return "another process";
  for (const std::string& process : NumbersIn("/proc")) {
    const std::string folder = "/proc/" + process + "/fdinfo";
    for (const std::string& descriptor : NumbersIn(folder)) {
      if (!HasWritersLock(folder + "/" + descriptor, status)) continue;
      return process == std::to_string(getpid()) ? "this process" : "process " + process;
    }
  }
  return "another process";
}

}  // namespace

Status LockForWriting(const File& file, const std::string& subject) {
  if (TryToLock(file, F_WRLCK)) return Code::kOk;
  if (!IsTaken(errno)) {
    if (errno != EINVAL && errno != ENOLCK && errno != EOPNOTSUPP && errno != ENOSYS) {
      return FailErrno("%s cannot be locked", subject.c_str());
    }
    return Fail(
        Code::kUnsupported,
        "%s lies on a file system that has no locks (%s), so that two processes might write "
        "it at once; put it on another one",
        subject.c_str(), std::strerror(errno));
  }
  // A lock for reading is none of this library's writers: who may only read put it there.
  struct flock other = WritersByte(F_WRLCK);
  const bool is_known = fcntl(file.descriptor(), F_OFD_GETLK, &other) == 0;
  if (is_known && other.l_type == F_RDLCK) return Code::kOk;
  return Fail(
      Code::kBusy,
      "%s is written by %s, also if that knows it by another name or in another pool; close "
      "it there first",
      subject.c_str(), WriterOf(file).c_str());
}

bool KeepFromWriting(const File& file) { return TryToLock(file, F_RDLCK) || !IsTaken(errno); }

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
