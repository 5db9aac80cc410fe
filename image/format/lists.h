// Reads the lists of replaced pages, and finds which of their pages count.
#pragma once

#include <vector>

#include "base/result.h"
#include "image/format/reading.h"
#include "image/format/tree.h"

namespace morsel::image {

/// Reads the lists that the superblock leads to, and adds them to the tree with the pages that
/// count. The tree has its leaves already. A damaged list does not tell which leaves it had pages
/// of, so that every leaf older than the list becomes absent, and the tree does not have the list.
/// Errors  kCorrupt, naming the file and the list or the subtree; kIo. Each goes to
///         reading.damaged first; reading ends only if that returns a failure, and returns it.
Status ReadLists(const Reading& reading, Tree& tree);

/// Reads all copies of the tree's lists, and returns those that are damaged, or cannot be read,
/// while another copy serves.
std::vector<PatchList> DamagedCopiesOfLists(const Reading& reading, const Tree& tree);

}  // namespace morsel::image
