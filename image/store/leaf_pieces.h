// Which parts of a raw leaf are written where the file has no bytes yet: the rest is a hole.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "image/format/layout.h"

namespace morsel::image {

/// Pages of a leaf, from `begin` up to `end`.
struct LeafPiece {
  uint32_t begin, end;

  uint64_t offset() const { return begin * kPageBytes; }
  uint64_t size_bytes() const { return (end - begin) * kPageBytes; }
};

/// Returns what is to be written of so many pages; `is_zero` says which are zero. The rest is a
/// hole. The last page is written always, so that the file is as long as if all were.
std::vector<LeafPiece> PiecesOf(uint32_t page_count,
                                const std::function<bool(uint32_t page)>& is_zero);

/// As that, of a leaf whose pages have these sums.
std::vector<LeafPiece> PiecesOf(const PageSums& sums);

}  // namespace morsel::image
