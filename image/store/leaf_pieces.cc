#include "image/store/leaf_pieces.h"

#include <cstddef>

#include "image/format/space.h"
#include "image/store/page_sums.h"

namespace morsel::image {
namespace {

/// In a leaf with more pieces between holes no hole is left.
constexpr size_t kPiecesMax = 8;
/// So many pages of zeros, or more, become a hole.
constexpr uint32_t kHolePagesMin = kFragmentBytes / kPageBytes;

}  // namespace

std::vector<LeafPiece> PiecesOf(uint32_t page_count,
                                const std::function<bool(uint32_t page)>& is_zero) {
  std::vector<LeafPiece> pieces;
  for (uint32_t page = 0; page < page_count; ++page) {
    if (page + 1 < page_count && is_zero(page)) continue;
    if (!pieces.empty() && page - pieces.back().end < kHolePagesMin) {
      pieces.back().end = page + 1;
    } else {
      pieces.push_back({page, page + 1});
    }
  }
  if (pieces.size() > kPiecesMax) pieces = {{0, page_count}};
  return pieces;
}

std::vector<LeafPiece> PiecesOf(const PageSums& sums) {
  const Sum128 zero = ZeroPageSum();
  return PiecesOf(kPagesPerLeaf, [&](uint32_t page) { return sums.of(page) == zero; });
}

}  // namespace morsel::image
