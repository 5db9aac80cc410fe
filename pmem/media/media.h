// The media that there are, and which of them a pool lies on.
#pragma once

#include <span>

#include "pmem/media/medium.h"

namespace morsel::pmem {

extern const Medium& kDeviceDax;  ///< a device that can only be mapped
extern const Medium& kFsDax;      ///< files on a DAX file system
extern const Medium& kMemory;     ///< files of a file system that is lost at power-off
extern const Medium& kDisk;       ///< a directory on any other file system
extern const Medium& kStandIn;    ///< any other file, which stands in for persistent memory

/// Returns all media, in the order in which they are asked for.
std::span<const Medium* const> AllMedia();

/// Returns the medium of an open part of a pool.
const Medium& MediumOf(const os::File& file, PoolPart part);

}  // namespace morsel::pmem
