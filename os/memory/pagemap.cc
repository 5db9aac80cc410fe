#include "os/memory/pagemap.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/descriptor_floor.h"
#include "base/error.h"
#include "base/on_heap.h"
#include "os/memory/pagemap_scan.h"

namespace morsel::os {
namespace {

constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kSwapped = uint64_t{1} << 62;
constexpr uint64_t kWriteProtected = uint64_t{1} << 57;

}  // namespace

Result<Pagemap> Pagemap::Open() {
  Pagemap pagemap;
  const DescriptorFloor floor;
  pagemap.file_ = Descriptor(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  if (!pagemap.file_.is_open()) return FailErrno("/proc/self/pagemap cannot be opened");
  return pagemap;
}

Result<Pagemap::Subtree> Pagemap::Read(const char* memory) const {
  std::array<uint64_t, kPagesPerSubtree> entries;
  const uint64_t offset = reinterpret_cast<uint64_t>(memory) / kPageBytes * sizeof entries[0];
  ssize_t got;
  do {
    got = pread(descriptor(), entries.data(), sizeof entries, static_cast<off_t>(offset));
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof entries)) {
    return FailErrno("/proc/self/pagemap cannot be read for the memory at %p", memory);
  }
  Subtree subtree;
  for (size_t page = 0; page < entries.size(); ++page) {
    if ((entries[page] & (kPresent | kSwapped)) != 0) subtree.populated.set(page);
    if ((entries[page] & kWriteProtected) != 0) subtree.protected_from_writes.set(page);
  }
  return subtree;
}

Result<bool> Pagemap::HasAny(const char* begin, const char* end) const {
  OnHeap<std::array<uint64_t, 4096>> on_heap;
  std::array<uint64_t, 4096>& entries = *on_heap;
  const int pagemap = descriptor();
  while (begin < end) {
    const uint64_t count =
        std::min<uint64_t>(static_cast<uint64_t>(end - begin) / kPageBytes, entries.size());
    const uint64_t offset = reinterpret_cast<uint64_t>(begin) / kPageBytes * sizeof entries[0];
    const ssize_t got =
        pread(pagemap, entries.data(), count * sizeof entries[0], static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < static_cast<ssize_t>(sizeof entries[0])) {
      return FailErrno("/proc/self/pagemap cannot be read for the memory at %p", begin);
    }
    const auto read = static_cast<uint64_t>(got) / sizeof entries[0];
    for (uint64_t page = 0; page < read; ++page) {
      if ((entries[page] & (kPresent | kSwapped)) != 0) return true;
    }
    begin += read * kPageBytes;
  }
  return false;
}

namespace {

// What is in memory or swapped out, up to `end`; a call fills the regions.
ScanArguments ScanOfPopulated(const char* end, PageRegion* regions, uint64_t region_count) {
  ScanArguments scan{};
  scan.size = sizeof scan;
  scan.end = reinterpret_cast<uint64_t>(end);
  scan.regions = reinterpret_cast<uint64_t>(regions);
  scan.region_count = region_count;
  scan.category_any_of = kPageIsPresent | kPageIsSwapped;
  scan.return_mask = kPageIsPresent | kPageIsSwapped;
  return scan;
}

// Returns how many regions were found.
Result<int> ScanFrom(int pagemap, const char* begin, ScanArguments& scan) {
  scan.start = reinterpret_cast<uint64_t>(begin);
  int found;
  do {
    found = ioctl(pagemap, kPagemapScan, &scan);
  } while (found < 0 && errno == EINTR);
  if (found < 0) return FailErrno("finding the pages of the memory at %p", begin);
  return found;
}

}  // namespace

Result<const char*> Pagemap::FirstPopulated(const char* begin, const char* end) const {
  PageRegion region{};
  ScanArguments scan = ScanOfPopulated(end, &region, 1);
  scan.pages_max = 1;
  const Result<int> found = ScanFrom(descriptor(), begin, scan);
  if (!found) return found.status();
  return *found == 0 ? end : reinterpret_cast<const char*>(region.start);
}

Status Pagemap::ForEachPopulated(const char* begin, const char* end,
                                 const std::function<void(const char*, const char*)>& visit) const {
  std::array<PageRegion, 32> regions;
  ScanArguments scan = ScanOfPopulated(end, regions.data(), regions.size());
  while (begin < end) {
    const Result<int> found = ScanFrom(descriptor(), begin, scan);
    if (!found) return found.status();
    for (int i = 0; i < *found; ++i) {
      const PageRegion& region = regions[static_cast<size_t>(i)];
      visit(reinterpret_cast<const char*>(region.start), reinterpret_cast<const char*>(region.end));
    }
    begin = reinterpret_cast<const char*>(scan.walk_end);
  }
  return Code::kOk;
}

}  // namespace morsel::os
