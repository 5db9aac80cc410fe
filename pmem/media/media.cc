#include "pmem/media/media.h"

#include <algorithm>
#include <array>

namespace morsel::pmem {

std::span<const Medium* const> AllMedia() {
  static const std::array<const Medium*, 5> media = {&kDeviceDax, &kFsDax, &kMemory, &kDisk,
                                                     &kStandIn};
  return media;
}

const Medium& MediumOf(const os::File& file, PoolPart part) {
  const std::span<const Medium* const> media = AllMedia();
  // The last one has everything.
  return **std::find_if(media.begin(), media.end() - 1,
                        [&](const Medium* medium) { return medium->Has(file, part); });
}

}  // namespace morsel::pmem
