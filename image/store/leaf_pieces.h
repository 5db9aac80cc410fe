// Which parts of a raw leaf are written where the file has no bytes yet: the rest is a hole.
#pragma once

#include <cstdint>
#include <vector>

#include "image/format/layout.h"

namespace morsel::image {

/// Pages of a leaf, from `begin` up to `end`.
struct LeafPiece {
  uint32_t begin, end;

  uint64_t offset() const { return begin * kPageBytes; }
  uint64_t size_bytes() const { return (end - begin) * kPageBytes; }
};

/// Returns what is to be written of a leaf whose pages have these sums; the rest is zero. The last
/// page is written always, so that the file is as long as if all were.
std::vector<LeafPiece> PiecesOf(const PageSums& sums);

}  // namespace morsel::image
