// What a superblock's slot holds where it holds no valid superblock.
#pragma once

#include <cstdint>

#include "image/format/layout.h"
#include "os/file/file.h"

namespace morsel::image {

/// What to think of the slot that the current superblock is not in.
enum class Doubt : uint8_t {
  kNone,        ///< it has a superblock, or never had one
  kUnfinished,  ///< power was lost while it was written, or it is damaged: nothing tells which
  kDamaged,     ///< no crash leaves it so
  kUnreadable,  ///< the medium fails to read it
};

/// Checks that the fields of a superblock are possible, as a right checksum does not make them so.
/// Errors  kVersion, kCorrupt.
Status ValidateSuperblock(const os::File& file, const ImageSuperblock& superblock);

/// What to think of `other`, which was read from the slot at `offset` and is not valid there.
/// `current` is valid, and in the other slot.
Doubt DoubtOf(const os::File& file, const ImageSuperblock& other, uint64_t offset,
              const ImageSuperblock& current);

}  // namespace morsel::image
