// Pages that count in place of a leaf's own: as a generation has them in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "image/format/layout.h"
#include "image/format/space.h"
#include "os/file/file.h"

namespace morsel::pmem::image {

struct Tree;

/// Told of a part of an image that cannot be believed, which LastError() names. Success: it counts
/// as absent, and the rest is read.
using Damaged = std::function<Status(Status)>;

/// The tables of one generation, while they are read.
struct Reading {
  const File& file;
  const ImageSuperblock& superblock;
  uint64_t file_bytes;
  const Damaged& damaged;
};

/// A patch that counts. [IMG-8]
struct LivePatch {
  uint64_t offset;  ///< of its bytes in the file
  Sum128 sum;
  uint64_t generation;  ///< a generation: it is in the first list that is not earlier
  uint32_t page;        ///< of the leaf's 512
};

/// A leaf's, by page; there are some.
using LeafPatches = std::vector<LivePatch>;

/// All of a generation's. Generations share those of leaves that have not changed.
using PatchMap = std::map<SubtreePosition, std::shared_ptr<const LeafPatches>>;

/// What the bytes of a list take.
FileExtent ListExtentOf(const PatchList& list);

/// How many patches count of each of the tree's lists.
std::vector<uint64_t> LiveCounts(const Tree& tree);

/// Takes the lists that the superblock leads to, and finds which of their patches count. The tree's
/// leaves are there. Of a list that is damaged nobody knows which leaves it had pages of: those
/// that are older than it become absent.
/// Errors  kCorrupt, naming the file and the list or the
/// subtree, and kIo, as `reading.damaged` answers.
Status ReadPatches(const Reading& reading, Tree& tree);

}  // namespace morsel::pmem::image
