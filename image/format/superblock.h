// Reads and writes superblocks, and chooses the current generation of an image.
#pragma once

#include <optional>

#include "base/on_heap.h"
#include "base/result.h"
#include "image/format/layout.h"
#include "os/file/file.h"

namespace morsel::image {

struct ImageSuperblocks {
  OnHeap<ImageSuperblock> current;
  /// The superblock of the generation before the current one, if it is valid.
  std::optional<OnHeap<ImageSuperblock>> older;
};

/// Reads both superblocks. The valid one of the higher generation is the current one.
/// Errors  kCorrupt (foreign, truncated or damaged: the message says which); kVersion; kIo.
Result<ImageSuperblocks> ReadSuperblocks(const os::File& file);

/// Checks that the file still has all that the superblock `then` leads to. Another process may be
/// writing to it.
/// Errors  kBusy: it may have been written over since, so that what was read proves nothing; kIo.
Status CheckNotOverwritten(const os::File& file, const ImageSuperblock& then);

/// Returns whether one of the two slots has an image's magic, whatever else is damaged.
/// Errors  kIo.
Result<bool> LooksLikeImage(const os::File& file);

/// Checks that this library may write the image.
/// Errors  kVersion: the image has a feature that a writer must know and this library does not.
Status MayWrite(const os::File& file, const ImageSuperblock& superblock);

/// Sets the checksum and writes the superblock into the slot of its generation.
/// Durability  none before a sync.
/// Errors      kNoSpace, kIo: any part may have been written.
Status WriteSuperblock(const os::File& file, const ImageSuperblock& superblock);

}  // namespace morsel::image
