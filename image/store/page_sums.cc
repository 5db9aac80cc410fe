#include "image/store/page_sums.h"

#include <array>

#include "base/error.h"

namespace morsel::image {

bool ReadPageSums(const os::File& file, const Tree& tree, SubtreePosition position,
                  PageSums& sums) {
  const KeepLastError keep;
  const Entry leaf = tree.leaf(position);
  if (!file.ReadExactly(&sums, sizeof sums, leaf.second).ok()) return false;
  if (Checksum128(&sums, sizeof sums) != SumOf(leaf)) return false;
  PutSums(tree.listed, position, sums);
  return true;
}

void PutSums(const UnsettledPages& pages, SubtreePosition position, PageSums& sums) {
  const uint64_t first = position.value() * kPagesPerLeaf;
  const auto end = pages.lower_bound(first + kPagesPerLeaf);
  for (auto it = pages.lower_bound(first); it != end; ++it) {
    sums.halves[2 * (it->first - first)] = it->second.sum.low;
    sums.halves[2 * (it->first - first) + 1] = it->second.sum.high;
  }
}

Sum128 ZeroPageSum() {
  static constexpr std::array<char, kPageBytes> kZeros{};
  static const Sum128 kSum = Checksum128(kZeros.data(), kPageBytes);
  return kSum;
}

}  // namespace morsel::image
