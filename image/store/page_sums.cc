#include "image/store/page_sums.h"

#include <array>

#include "base/error.h"

namespace morsel::image {

bool ReadPageSums(const os::File& file, const Tree& tree, SubtreePosition position,
                  PageSums& sums) {
  const KeepLastError keep;
  const Entry leaf = tree.leaf(position);
  const uint64_t sums_offset = LeafExtentOf(leaf).end() - kPageSumsBytes;
  if (!file.ReadExactly(&sums, sizeof sums, sums_offset).ok()) return false;
  if (Checksum128(&sums, sizeof sums) != SumOf(leaf)) return false;
  const LeafPatches* const patches = tree.PatchesOf(position);
  if (patches == nullptr) return true;
  for (const LivePatch& patch : *patches) {
    sums.halves[2 * patch.page] = patch.sum.low;
    sums.halves[2 * patch.page + 1] = patch.sum.high;
  }
  return true;
}

Sum128 ZeroPageSum() {
  static constexpr std::array<char, kPageBytes> kZeros{};
  static const Sum128 kSum = Checksum128(kZeros.data(), kPageBytes);
  return kSum;
}

}  // namespace morsel::image
