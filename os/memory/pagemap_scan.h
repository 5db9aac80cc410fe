// The structs and constants of PAGEMAP_SCAN, which Linux 6.7 and later have and the headers of
// Debian 12 do not.
#pragma once

#include <sys/ioctl.h>

#include <cstdint>

namespace morsel::os {

/// The kernel's struct page_region.
struct PageRegion {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};
/// The kernel's struct pm_scan_arg.
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
inline constexpr uint64_t kScanProtects = 1 << 0;     ///< PM_SCAN_WP_MATCHING
inline constexpr uint64_t kScanChecksAsync = 1 << 1;  ///< PM_SCAN_CHECK_WPASYNC
inline constexpr uint64_t kPageIsWritten = 1 << 1;
inline constexpr uint64_t kPageIsPresent = 1 << 3;
inline constexpr uint64_t kPageIsSwapped = 1 << 4;
inline constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArguments);

}  // namespace morsel::os
