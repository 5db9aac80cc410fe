// The sums of a leaf's pages, as the file has them.
#pragma once

#include "base/checksum.h"
#include "image/format/layout.h"
#include "image/format/tree.h"
#include "os/file/file.h"
#include "os/memory/page_set.h"

namespace morsel::image {

/// Reads the sums of the pages of the leaf at `position`, which is present: of its own, or of those
/// that replace them. Returns false if they cannot be read or are damaged.
bool ReadPageSums(const os::File& file, const Tree& tree, SubtreePosition position, PageSums& sums);

/// Puts the sums of those of `pages` that the leaf at `position` has in place of its own.
void PutSums(const UnsettledPages& pages, SubtreePosition position, PageSums& sums);

/// The sum of a page of zeros.
Sum128 ZeroPageSum();

/// The sum of a page of the subtree in memory. One that was not touched is zero, and is not read.
inline Sum128 SumOfPage(const char* subtree, uint32_t page, const os::PageSet::Pages& touched) {
  return touched.test(page) ? Checksum128(subtree + page * kPageBytes, kPageBytes) : ZeroPageSum();
}

}  // namespace morsel::image
