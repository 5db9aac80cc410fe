// What the readers of an image's tables share, and what they do about damage.
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "image/format/layout.h"
#include "os/file/file.h"

namespace morsel::image {

/// Called for each part of an image that cannot be believed, with the failure; LastError() names
/// the part. If it returns success, the part counts as absent and the rest is read. A failure that
/// it returns ends the reading.
using Damaged = std::function<Status(Status)>;

/// What reading the tables of one generation needs. Refers to its parts and owns none.
struct Reading {
  const os::File& file;
  const ImageSuperblock& superblock;  ///< the generation's
  uint64_t file_bytes;                ///< the length of the file
  const Damaged& damaged;
};

}  // namespace morsel::image
