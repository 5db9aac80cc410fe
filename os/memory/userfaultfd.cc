#include "os/memory/userfaultfd.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>

#include "base/descriptor_floor.h"
#include "base/error.h"

namespace morsel::os {
namespace {

// Linux has this device since 6.1. Opening it takes rights to the file, not rights of the process.
constexpr char kDevice[] = "/dev/userfaultfd";
const unsigned long kDeviceNew = _IO(0xAA, 0x00);

}  // namespace

int OpenUserfaultfd(int flags, uint64_t features) {
  flags |= O_CLOEXEC | O_NONBLOCK;
  const DescriptorFloor floor;
  auto faults = static_cast<int>(syscall(SYS_userfaultfd, flags));
  if (faults < 0 && errno == EPERM) {
    const int device = open(kDevice, O_RDWR | O_CLOEXEC);
    if (device >= 0) faults = ioctl(device, kDeviceNew, flags);
    const int error = errno;
    if (device >= 0) close(device);
    errno = error;
  }
  if (faults < 0) return -1;
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = features;
  if (ioctl(faults, UFFDIO_API, &api) == 0) return faults;
  const int error = errno;
  close(faults);
  errno = error;
  return -1;
}

Status RegisterFrames(int userfaultfd, const Frames& frames, uint64_t begin) {
  for (const FrameRun& run : frames.runs()) {
    if (run.end() <= begin) continue;
    const uint64_t offset = std::max(begin, run.offset);
    uffdio_register registered{};
    registered.range = {reinterpret_cast<uint64_t>(frames.at(offset)), run.end() - offset};
    registered.mode = UFFDIO_REGISTER_MODE_WP;
    if (ioctl(userfaultfd, UFFDIO_REGISTER, &registered) != 0) {
      return FailErrnoOfMemory("tracking", frames.at(offset), run.end() - offset);
    }
  }
  return Code::kOk;
}

Status FailErrnoOfMemory(const char* what, const void* memory, uint64_t size_bytes) {
  return FailErrno("%s %" PRIu64 " bytes of memory at %p", what, size_bytes, memory);
}

}  // namespace morsel::os
