// A carved pool's superblocks: planned, written, chosen, validated.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "morsel/carved/pool_layout.h"
#include "morsel/pool/address_window.h"
#include "pmem/persist/persist.h"

namespace morsel {

/// The layout of a new pool of `size_bytes`, a multiple of `unit_bytes`, which is what the medium
/// is carved into: 2 MiB, or its alignment if that is more, up to 1 GiB. magic and checksum are
/// set.
/// Errors  kInvalidArgument: less than two units, one for itself and one for morsels.
Result<PoolSuperblock> PlanSuperblock(uint64_t size_bytes, const Window& window, const Id& id,
                                      const std::string& subject,
                                      uint64_t unit_bytes = kSubtreeBytes);

/// The layout of a file that is one morsel of a directory pool, with room for `capacity_bytes`, a
/// multiple of 2 MiB. magic and checksum are set.
/// Errors  kInvalidArgument: no file can be that large.
Result<PoolSuperblock> PlanSingle(uint64_t capacity_bytes, const Window& window, const Id& id,
                                  const std::string& subject);

/// Whether the bytes, kSuperblocks superblocks, are of no pool at all, not even a damaged one.
bool LooksForeign(const char* bytes);

/// Whether the bytes, kSuperblocks superblocks, begin a file that is one morsel of a directory
/// pool, or was one before it was damaged.
bool LooksSingle(const char* bytes);

/// Takes the magic of both superblocks away: from here on the medium holds no pool.
/// Durability  on return.
void EraseSuperblocks(char* medium, pmem::Persist persist);

/// Writes both superblocks, each one's magic last. All else of the pool is durable before.
/// Durability  on return; after a crash before, there is no pool, or this one.
void WriteSuperblocks(char* medium, const PoolSuperblock& superblock, pmem::Persist persist);

/// The superblock that says what the pool is, from the first 8192 bytes of the medium, which is
/// `medium_bytes` long.
/// Errors  kCorrupt (foreign, damaged, truncated); kVersion.
Result<PoolSuperblock> ChooseSuperblock(const char* bytes, uint64_t medium_bytes,
                                        const std::string& subject);

/// Whether both superblocks are valid and say the same but for their sequence [POOL-1].
bool SuperblocksAgree(const char* bytes);

}  // namespace morsel
