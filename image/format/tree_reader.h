// Reads the tables of a generation from a file into memory.
#pragma once

#include <functional>

#include "base/result.h"
#include "image/format/reading.h"
#include "image/format/tree.h"
#include "os/file/file.h"

namespace morsel::image {

/// Reads and validates the tables and lists that `superblock` leads to. It does not read leaves or
/// replaced pages. Of a table one sound copy is enough.
/// Errors  kCorrupt, naming the file, the subtrees and the offset; kVersion; kIo.
Result<Tree> ReadTree(const os::File& file, const ImageSuperblock& superblock);

/// Reads what is intact of a damaged image. Tables, leaves and lists that are damaged are passed to
/// `damaged` and become absent. Extents of leaves may overlap here: the sums tell which of them are
/// sound.
/// Errors  kCorrupt, kVersion, kIo: the root table cannot be read, without which nothing can be
///         found; what `damaged` returns.
Result<Tree> ReadIntact(const os::File& file, const ImageSuperblock& superblock,
                        const Damaged& damaged);

/// Reads the page sums of a leaf, which lie at `offset` and have the sum `sum`. Returns false, and
/// LastError() stays, if they cannot be read or are damaged.
bool ReadSumsAt(const os::File& file, uint64_t offset, const Sum128& sum, PageSums& sums);

/// Reads both copies of each table of `tree`, which was read, and calls `report` with a message for
/// each copy that is damaged or cannot be read.
void FindDamagedCopies(const os::File& file, const ImageSuperblock& superblock, const Tree& tree,
                       const std::function<void(const char* message)>& report);

}  // namespace morsel::image
