// The sums of a leaf's pages, as the file has them.
#pragma once

#include "image/format/layout.h"
#include "image/format/tree.h"
#include "os/file/file.h"

namespace morsel::image {

/// Reads the sums of the pages of the leaf at `position`, which is present: of its own, or of those
/// that replace them. Returns false if they cannot be read or are damaged.
bool ReadPageSums(const os::File& file, const Tree& tree, SubtreePosition position, PageSums& sums);

}  // namespace morsel::image
