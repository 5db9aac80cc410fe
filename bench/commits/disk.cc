#include "bench/commits/disk.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "bench/meter.h"
#include "bench/place.h"

namespace bench {
namespace {

std::atomic<uint64_t> syncs{0};

template <class... Words>
auto Call(long number, Words... words) {
  return syscall(number, words...);
}

}  // namespace

// The library's calls come here: a program's own functions go before the C library's.
extern "C" {
int fdatasync(int file) {
  ++syncs;
  return static_cast<int>(Call(SYS_fdatasync, file));
}
int fsync(int file) {
  ++syncs;
  return static_cast<int>(Call(SYS_fsync, file));
}
ssize_t pwritev2(int file, const iovec* parts, int count, off_t offset, int flags) {
  if ((flags & (RWF_DSYNC | RWF_SYNC)) != 0) ++syncs;
  return Call(SYS_pwritev2, file, parts, count, offset, 0, flags);
}
}

DiskCounts CountsSoFar() {
  DiskCounts counts;
  counts.syncs = syncs;
  std::ifstream file("/proc/self/io");
  std::string name;
  uint64_t value = 0;
  while (file >> name >> value) {
    if (name == "syscw:") counts.writes = value;
    if (name == "write_bytes:") counts.written_bytes = value;
  }
  return counts;
}

RawFile::RawFile(const std::string& folder, uint64_t size_bytes)
    : path_(folder + "/raw"), size_bytes_(size_bytes) {
  bytes_ = static_cast<char*>(std::aligned_alloc(4096, size_bytes));
  if (bytes_ == nullptr) Fail("raw file", "no memory");
  std::memset(bytes_, 1, size_bytes);
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC;
  file_ = open(path_.c_str(), kFlags | O_DIRECT, 0600);
  if (file_ < 0 && errno == EINVAL) file_ = open(path_.c_str(), kFlags, 0600);
  const bool is_written =
      file_ >= 0 && pwrite(file_, bytes_, size_bytes, 0) == static_cast<ssize_t>(size_bytes);
  if (!is_written || Call(SYS_fsync, file_) != 0) Fail(path_.c_str(), std::strerror(errno));
}

RawFile::~RawFile() {
  close(file_);
  unlink(path_.c_str());
  std::free(bytes_);
}

uint64_t RawFile::Overwrite(uint64_t bytes) {
  if (at_ + bytes > size_bytes_) at_ = 0;
  const iovec all = {bytes_, bytes};
  const uint64_t begin = WallNs();
  const long put = Call(SYS_pwritev2, file_, &all, 1, static_cast<off_t>(at_), 0, RWF_DSYNC);
  const uint64_t end = WallNs();
  if (put != static_cast<long>(bytes)) Fail(path_.c_str(), std::strerror(errno));
  at_ += bytes;
  return end - begin;
}

uint64_t ScanNs(const void* memory, uint64_t size_bytes) {
  // The kernel's struct pm_scan_arg, and the call; of what is written.
  struct {
    uint64_t size, flags, start, end, walk_end, regions, region_count, pages_max;
    uint64_t category_inverted, category_mask, category_any_of, return_mask;
  } scan{};
  std::array<uint64_t, 3 * 64> regions;
  constexpr uint64_t kWritten = 1 << 1;
  scan.size = sizeof scan;
  scan.start = reinterpret_cast<uint64_t>(memory);
  scan.end = scan.start + size_bytes;
  scan.regions = reinterpret_cast<uint64_t>(regions.data());
  scan.region_count = regions.size() / 3;
  scan.category_mask = scan.return_mask = kWritten;
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const uint64_t begin = WallNs();
  int found = 0;
  while (scan.start < scan.end && found >= 0) {
    found = ioctl(pagemap, _IOWR('f', 16, decltype(scan)), &scan);
    scan.start = scan.walk_end;
  }
  const uint64_t end = WallNs();
  close(pagemap);
  return found < 0 ? 0 : end - begin;
}

uint64_t HugeBytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  std::string word;
  uint64_t kib = 0;
  while (file >> word) {
    if (word == "AnonHugePages:" && file >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace bench
