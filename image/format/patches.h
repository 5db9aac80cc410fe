// The lists of replaced pages, as they lie in the file.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "image/format/reading.h"
#include "image/format/tree.h"

namespace morsel::pmem::image {

/// How many patches count of each of the tree's lists.
std::vector<uint64_t> LiveCounts(const Tree& tree);

/// Takes the lists that the superblock leads to, and finds which of their patches count. The tree's
/// leaves are there. Of a list that is damaged nobody knows which leaves it had pages of: those
/// that are older than it become absent.
/// Errors  kCorrupt, naming the file and the list or the
/// subtree, and kIo, as `reading.damaged` answers.
Status ReadPatches(const Reading& reading, Tree& tree);

}  // namespace morsel::pmem::image
