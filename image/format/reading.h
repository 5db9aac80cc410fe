// What is read of an image's tables, and what is done where they are damaged.
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "image/format/layout.h"
#include "os/file/file.h"

namespace morsel::pmem::image {

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

}  // namespace morsel::pmem::image
