#include "image/store/page_sums.h"

#include <array>

#include "image/format/tree_reader.h"

namespace morsel::image {

bool ReadPageSums(const os::File& file, const Tree& tree, SubtreePosition position,
                  PageSums& sums) {
  const Entry leaf = tree.leaf(position);
  if (!ReadSumsAt(file, leaf.second, SumOf(leaf), sums)) return false;
  PutSums(tree.listed, position, sums);
  return true;
}

void PutSums(const UnsettledPages& pages, SubtreePosition position, PageSums& sums) {
  const uint64_t first = position.value() * kPagesPerLeaf;
  const auto end = pages.lower_bound(first + kPagesPerLeaf);
  for (auto it = pages.lower_bound(first); it != end; ++it) {
    sums.Set(it->first - first, it->second.sum);
  }
}

Sum128 ZeroPageSum() {
  static constexpr std::array<char, kPageBytes> kZeros{};
  static const Sum128 kSum = Checksum128(kZeros.data(), kPageBytes);
  return kSum;
}

}  // namespace morsel::image
