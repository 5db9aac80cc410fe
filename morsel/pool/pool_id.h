// Which pool a path leads to: every pool begins with its id, signed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/random.h"
#include "morsel/pool/pool_file_layout.h"
#include "morsel/pool/pool_layout.h"

namespace morsel {

/// Returns the checksum that the structure should have.
uint64_t ChecksumOf(PoolFileLayout layout);
uint64_t ChecksumOf(const PoolSuperblock& superblock);

/// Returns the id of the pool whose directory or file is at `path`. Nothing: there is none, or it
/// may not be read, or is damaged. LastError() stays as it is.
/// Cost  opens and reads a file of 128 bytes, or the first 8 KiB of a carved pool.
std::optional<Id> PoolIdAt(const std::string& path);

}  // namespace morsel
