#include "pmem/dirty_pages.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/error.h"

namespace morsel::pmem {
namespace {

// Linux 6.7's, which Debian 12's headers do not have yet.
constexpr uint64_t kFeatureWpUnpopulated = uint64_t{1} << 13;
constexpr uint64_t kFeatureWpAsync = uint64_t{1} << 15;
constexpr int kUserModeOnly = 1;
struct PageRegion {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};
struct ScanArguments {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t regions;
  uint64_t region_count;
  uint64_t pages_max;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_any_of;
  uint64_t return_mask;
};
static_assert(sizeof(ScanArguments) == 96);
constexpr uint64_t kScanProtects = 1 << 0;     // PM_SCAN_WP_MATCHING
constexpr uint64_t kScanChecksAsync = 1 << 1;  // PM_SCAN_CHECK_WPASYNC
constexpr uint64_t kPageIsWritten = 1 << 1;
const unsigned long kPagemapScan = _IOWR('f', 16, ScanArguments);

class Comparing final : public DirtyPages {
 public:
  const char* way() const override { return "compare"; }
  Status Track(char*, uint64_t) override { return Code::kOk; }
  Result<bool> Collect(char*, uint64_t, PageSet&) override { return false; }
};

class Scanning final : public DirtyPages {
 public:
  // Both are taken.
  Scanning(int faults, int pagemap) : faults_(faults), pagemap_(pagemap) {}
  ~Scanning() override {
    close(faults_);
    close(pagemap_);
  }
  const char* way() const override { return "scan"; }

  Status Track(char* memory, uint64_t size_bytes) override {
    if (size_bytes == 0) return Code::kOk;
    uffdio_register range{};
    range.range = {reinterpret_cast<uint64_t>(memory), size_bytes};
    range.mode = UFFDIO_REGISTER_MODE_WP;
    if (ioctl(faults_, UFFDIO_REGISTER, &range) != 0) return Failed("tracking", memory, size_bytes);
    uffdio_writeprotect protect{};
    protect.range = range.range;
    protect.mode = UFFDIO_WRITEPROTECT_MODE_WP;
    if (ioctl(faults_, UFFDIO_WRITEPROTECT, &protect) == 0) return Code::kOk;
    const Status failed = Failed("protecting", memory, size_bytes);
    (void)ioctl(faults_, UFFDIO_UNREGISTER, &range.range);
    return failed;
  }

  Result<bool> Collect(char* base, uint64_t size_bytes, PageSet& pages) override {
    const auto begin = reinterpret_cast<uint64_t>(base);
    std::array<PageRegion, 256> regions;
    ScanArguments scan{};
    scan.size = sizeof scan;
    // Memory that nobody tracks would be told to be clean: the second flag makes it an error.
    scan.flags = kScanProtects | kScanChecksAsync;
    scan.end = begin + size_bytes;
    scan.regions = reinterpret_cast<uint64_t>(regions.data());
    scan.region_count = regions.size();
    scan.category_mask = kPageIsWritten;
    scan.return_mask = kPageIsWritten;
    for (uint64_t at = begin; at < scan.end; at = scan.walk_end) {
      scan.start = at;
      const int found = ioctl(pagemap_, kPagemapScan, &scan);
      if (found < 0 && errno == EINTR) {
        scan.walk_end = at;
        continue;
      }
      if (found < 0) return Failed("finding the written pages of", base, size_bytes);
      for (int i = 0; i < found; ++i) {
        const PageRegion& region = regions[static_cast<size_t>(i)];
        pages.Add(region.start - begin, region.end - region.start);
      }
    }
    return true;
  }

 private:
  static Status Failed(const char* what, const void* memory, uint64_t size_bytes) {
    return FailErrno("%s %" PRIu64 " bytes of memory at %p", what, size_bytes, memory);
  }

  int faults_;
  int pagemap_;
};

// nullptr and errno.
std::unique_ptr<DirtyPages> OpenScanning() {
  const auto faults =
      static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | kUserModeOnly));
  if (faults < 0) return nullptr;
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = kFeatureWpUnpopulated | kFeatureWpAsync;
  const int pagemap =
      ioctl(faults, UFFDIO_API, &api) == 0 ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) : -1;
  if (pagemap >= 0) return std::make_unique<Scanning>(faults, pagemap);
  const int error = errno;
  close(faults);
  errno = error;
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<DirtyPages>> DirtyPages::Open() {
  const char* const set = std::getenv("MORSEL_DIRTY");
  const std::string_view way = set != nullptr ? set : "";
  if (way == "compare") return std::unique_ptr<DirtyPages>(new Comparing);
  if (!way.empty() && way != "auto" && way != "scan") {
    return Fail(Code::kInvalidArgument, "MORSEL_DIRTY is '%s'; it must be auto, scan or compare",
                set);
  }
  std::unique_ptr<DirtyPages> scanning = OpenScanning();
  if (scanning != nullptr) return scanning;
  if (way != "scan") return std::unique_ptr<DirtyPages>(new Comparing);
  const int error = errno;
  return Fail(
      Code::kUnsupported,
      "MORSEL_DIRTY is scan, and the kernel does not track stores for this process: %s; set "
      "MORSEL_DIRTY=compare, or nothing",
      std::strerror(error));
}

}  // namespace morsel::pmem
