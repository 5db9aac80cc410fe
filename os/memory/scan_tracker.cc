// The kernel notes which pages are written, and PAGEMAP_SCAN asks for them.
#include <linux/userfaultfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/descriptor.h"
#include "base/error.h"
#include "os/memory/open_dirty_tracker.h"
#include "os/memory/page_runs.h"
#include "os/memory/pagemap.h"
#include "os/memory/pagemap_scan.h"
#include "os/memory/userfaultfd.h"

namespace morsel::os {
namespace {

// Linux has these since 6.7, as PAGEMAP_SCAN.
constexpr uint64_t kFeatureWpUnpopulated = uint64_t{1} << 13;
constexpr uint64_t kFeatureWpAsync = uint64_t{1} << 15;
constexpr int kUserModeOnly = 1;

class ScanTracker final : public DirtyTracker {
 public:
  // Takes over the descriptor.
  explicit ScanTracker(int faults) : faults_(faults) {}
  const char* method() const override { return "scan"; }

  // To the kernel, pages that exist already are written. The first scan protects them, and what it
  // finds is ignored.
  Status Track(const Frames& frames, uint64_t begin) override {
    MORSEL_TRY(RegisterFrames(faults_.number(), frames, begin));
    return Scan(frames, begin, nullptr);
  }

  Result<bool> Collect(const Frames& frames, PageSet& pages) override {
    MORSEL_TRY(Scan(frames, 0, &pages));
    return true;
  }

 private:
  // Protects the written pages from `begin` on, and adds them to `pages` if that is not null.
  Status Scan(const Frames& frames, uint64_t begin, PageSet* pages) {
    for (const FrameRun& run : frames.runs()) {
      if (run.end() <= begin) continue;
      const uint64_t offset = std::max(begin, run.offset);
      if (!IsMemoryFile(run.kind)) {
        MORSEL_TRY(
            ScanRange(frames, offset, run.end() - offset, kPageIsPresent | kPageIsSwapped, pages));
        continue;
      }
      // A written page of a memory file may have left the page table again. So each page counts as
      // written that the file has and that is not protected. Other pages are not asked for.
      MORSEL_TRY(ForEachRun(
          offset, run.end(),
          [&](SubtreePosition position) -> Result<PageSet::Pages> { return frames.Of(position); },
          [&](uint64_t at, uint64_t size_bytes) {
            return ScanRange(frames, at, size_bytes, 0, pages);
          }));
    }
    return Code::kOk;
  }

  // Scans one range. If `any_of` is not 0, it finds only written pages that have one of these
  // marks. They exclude pages that were never touched: to the kernel such a page is written, too,
  // and would get a page table so that it can be protected.
  Status ScanRange(const Frames& frames, uint64_t offset, uint64_t size_bytes, uint64_t any_of,
                   PageSet* pages) {
    const auto base = reinterpret_cast<uint64_t>(frames.at(0));
    std::array<PageRegion, 256> regions;
    ScanArguments scan{};
    scan.size = sizeof scan;
    // The second flag makes it an error if memory is not tracked. Without it the kernel would say
    // that such memory is clean.
    scan.flags = kScanProtects | kScanChecksAsync;
    scan.end = base + offset + size_bytes;
    scan.regions = reinterpret_cast<uint64_t>(regions.data());
    scan.region_count = regions.size();
    scan.category_mask = kPageIsWritten;
    scan.category_any_of = any_of;
    scan.return_mask = kPageIsWritten;
    for (uint64_t at = base + offset; at < scan.end; at = scan.walk_end) {
      scan.start = at;
      const int found = ioctl(frames.pagemap().descriptor_at_open(), kPagemapScan, &scan);
      if (found < 0 && errno == EINTR) {
        scan.walk_end = at;
        continue;
      }
      if (found < 0) {
        return FailErrnoOfMemory("finding the written pages of", frames.at(offset), size_bytes);
      }
      for (int i = 0; i < found && pages != nullptr; ++i) {
        const PageRegion& region = regions[static_cast<size_t>(i)];
        pages->Add(region.start - base, region.end - region.start);
      }
    }
    return Code::kOk;
  }

  Descriptor faults_;
};

}  // namespace

std::unique_ptr<DirtyTracker> OpenScanTracker() {
  const int faults = OpenUserfaultfd(kUserModeOnly, kFeatureWpUnpopulated | kFeatureWpAsync);
  if (faults < 0) return nullptr;
  const KeepLastError keep;
  // The frames have one of their own. Where it cannot be opened there is no tracking.
  if (Pagemap::Open()) return std::make_unique<ScanTracker>(faults);
  close(faults);
  errno = EACCES;
  return nullptr;
}

}  // namespace morsel::os
