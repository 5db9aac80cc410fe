#include "os/file/system_calls.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/check.h"
#include "base/descriptor_floor.h"
#include "base/file_size_limit.h"

namespace morsel::os {
namespace {

// Whether a file that reaches to here would be too long. Then errno says so.
bool IsTooLong(int64_t offset, size_t size_bytes) {
  if (!IsAboveFileSizeLimit(static_cast<uint64_t>(offset) + size_bytes)) return false;
  errno = EFBIG;
  return true;
}

// A call that a signal interrupts has done nothing, and is made again.
template <class Make>
auto Again(const Make& make) {
  auto made = make();
  while (made < 0 && errno == EINTR) made = make();
  return made;
}

}  // namespace

int SystemCalls::OpenAt(int directory, const char* name, int flags, mode_t mode) {
  const DescriptorFloor floor;
  return Again([&] { return openat(directory, name, flags | O_CLOEXEC, mode); });
}
ssize_t SystemCalls::PRead(int file, void* bytes, size_t size_bytes, int64_t offset) {
  return Again([&] { return pread(file, bytes, size_bytes, offset); });
}
ssize_t SystemCalls::PWrite(int file, const void* bytes, size_t size_bytes, int64_t offset) {
  if (IsTooLong(offset, size_bytes)) return -1;
  return Again([&] { return pwrite(file, bytes, size_bytes, offset); });
}
ssize_t SystemCalls::PWriteSynced(int file, const void* bytes, size_t size_bytes, int64_t offset) {
  const iovec all = {const_cast<void*>(bytes), size_bytes};
  const ssize_t put = Again([&] { return pwritev2(file, &all, 1, offset, RWF_DSYNC); });
  if (put >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return put;
  const ssize_t plain = Again([&] { return pwrite(file, bytes, size_bytes, offset); });
  return plain >= 0 && Again([&] { return fdatasync(file); }) != 0 ? -1 : plain;
}
int SystemCalls::FTruncate(int file, int64_t size_bytes) {
  struct stat status;
  const bool grows = fstat(file, &status) == 0 && status.st_size < size_bytes;
  if (grows && IsTooLong(size_bytes, 0)) return -1;
  return Again([&] { return ftruncate(file, size_bytes); });
}
int SystemCalls::FAllocate(int file, int mode, int64_t offset, int64_t size_bytes) {
  const bool grows = (mode & FALLOC_FL_KEEP_SIZE) == 0;
  if (grows && IsTooLong(offset, static_cast<size_t>(size_bytes))) return -1;
  return Again([&] { return fallocate(file, mode, offset, size_bytes); });
}
int SystemCalls::FDataSync(int file) {
  return Again([&] { return fdatasync(file); });
}
int SystemCalls::FSync(int file) {
  return Again([&] { return fsync(file); });
}
int SystemCalls::RenameAt2(int directory, const char* from, const char* to, unsigned flags) {
  return renameat2(directory, from, directory, to, flags);
}
int SystemCalls::LinkAt(int directory, const char* from, const char* to) {
  return linkat(directory, from, directory, to, 0);
}
int SystemCalls::UnlinkAt(int directory, const char* name, int flags) {
  return unlinkat(directory, name, flags);
}
int SystemCalls::MkDirAt(int directory, const char* name, mode_t mode) {
  return mkdirat(directory, name, mode);
}
int SystemCalls::FChMod(int file, mode_t mode) { return fchmod(file, mode); }
int SystemCalls::FChOwn(int file, gid_t group) {
  return fchown(file, static_cast<uid_t>(-1), group);
}
int SystemCalls::FSetXAttr(int file, const char* name, const void* value, size_t size_bytes) {
  return fsetxattr(file, name, value, size_bytes, 0);
}

namespace {

// Makes a request only when it is waited for, and the newest request first. So a test in the seam
// sees each request, and in another order than they were submitted.
class CallingRing : public IoRing {
 public:
  CallingRing(SystemCalls& calls, int file) : calls_(calls), file_(file) {}

  int Submit(const Request& request) override {
    pending_.push_back(request);
    return 0;
  }

  Completion Wait() override {
    MORSEL_CHECK(!pending_.empty());
    const Request now = pending_.back();
    pending_.pop_back();
    const ssize_t done = now.writes ? calls_.PWrite(file_, now.bytes, now.size_bytes, now.offset)
                                    : calls_.PRead(file_, now.bytes, now.size_bytes, now.offset);
    return {now.tag, done < 0 ? -errno : done};
  }

  // No request is made before it is waited for.
  bool HasCompletion() const override { return false; }

 private:
  SystemCalls& calls_;
  int file_;
  std::vector<Request> pending_;
};

class WithKernelRings : public SystemCalls {
 public:
  std::unique_ptr<IoRing> OpenRing(const IoRingSetup& setup) override {
    return OpenKernelRing(setup);
  }
};
}  // namespace

std::unique_ptr<IoRing> SystemCalls::OpenRing(const IoRingSetup& setup) {
  return std::make_unique<CallingRing>(*this, setup.file);
}

SystemCalls& KernelCalls() {
  static WithKernelRings calls;
  return calls;
}

}  // namespace morsel::os
