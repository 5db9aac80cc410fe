// How the tables of a generation come from a file into memory.
#pragma once

#include "base/result.h"
#include "image/format/reading.h"
#include "image/format/tree.h"
#include "os/file/file.h"

namespace morsel::pmem::image {

/// Reads and validates the tables that `superblock` leads to; leaves are not read.
/// Errors  kCorrupt, naming the file, the subtrees and the offset; kVersion; kIo.
Result<Tree> ReadTree(const File& file, const ImageSuperblock& superblock);

/// As ReadTree(), of an image of which some is damaged: only what no part can be found without is
/// an error. Leaves may meet each other: it is their sums that tell.
Result<Tree> ReadIntact(const File& file, const ImageSuperblock& superblock,
                        const Damaged& damaged);

}  // namespace morsel::pmem::image
