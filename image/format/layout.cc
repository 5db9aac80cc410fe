#include "image/format/layout.h"

#include <cstring>

#include "base/checksum.h"

namespace morsel::image {

Sum128 SumPages(const char* leaf, PageSums& sums) {
  for (uint64_t page = 0; page < kPagesPerLeaf; ++page) {
    sums.Set(page, Checksum128(leaf + page * kPageBytes, kPageBytes));
  }
  return Checksum128(&sums, sizeof sums);
}

std::string CarriedName(const ImageSuperblock& superblock) {
  return {superblock.carried_name, strnlen(superblock.carried_name, kCarriedNameBytes - 1)};
}

void SetCarriedName(ImageSuperblock& superblock, std::string_view name) {
  std::memset(superblock.carried_name, 0, kCarriedNameBytes);
  if (name.size() < kCarriedNameBytes) {
    std::memcpy(superblock.carried_name, name.data(), name.size());
  }
}

}  // namespace morsel::image
