// Superblocks: which generation of an image is the current one.
#pragma once

#include <optional>

#include "base/result.h"
#include "image/format/layout.h"
#include "os/file/file.h"

namespace morsel::pmem::image {

struct ImageSuperblocks {
  ImageSuperblock current;
  /// The generation before, where its superblock is there.
  std::optional<ImageSuperblock> older;
};

/// Reads both superblocks and chooses.
/// Errors  kCorrupt (foreign, truncated or damaged: the sentence says which); kVersion; kIo.
Result<ImageSuperblocks> ReadSuperblocks(const File& file);

/// Whether the file begins as an image does, damaged or not.
/// Errors  kIo.
Result<bool> LooksLikeImage(const File& file);

/// kVersion where the image has a feature that a writer would have to know.
Status MayWrite(const File& file, const ImageSuperblock& superblock);

/// Sets the checksum and writes the superblock into its slot. Not synced.
Status WriteSuperblock(const File& file, const ImageSuperblock& superblock);

}  // namespace morsel::pmem::image
