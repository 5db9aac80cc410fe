#include "image/format/layout.h"

#include "base/checksum.h"

namespace morsel::image {

Sum128 SumPages(const char* leaf, PageSums& sums) {
  for (uint64_t page = 0; page < kPagesPerLeaf; ++page) {
    const Sum128 sum = Checksum128(leaf + page * kPageBytes, kPageBytes);
    sums.halves[2 * page] = sum.low;
    sums.halves[2 * page + 1] = sum.high;
  }
  return Checksum128(&sums, sizeof sums);
}

}  // namespace morsel::image
