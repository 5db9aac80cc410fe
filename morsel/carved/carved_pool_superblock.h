// Plans, writes, chooses and validates the superblocks of a carved pool.
#pragma once

#include <cstdint>
#include <string>

#include "base/on_heap.h"
#include "base/random.h"
#include "base/result.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/pool_layout.h"
#include "pmem/persist/persist.h"

namespace morsel {

/// Returns the layout of a new pool of `size_bytes`, a multiple of `unit_bytes`. The medium is
/// carved into units of 2 MiB, or of its alignment if that is more, at most 1 GiB. Magic and
/// checksum are set.
/// Errors  kInvalidArgument: size_bytes is less than two units (the pool needs one for itself and
///         one for morsels), or more than 1 PiB.
Result<OnHeap<PoolSuperblock>> PlanSuperblock(uint64_t size_bytes, const Window& window,
                                              const Id& id, const std::string& subject,
                                              uint64_t unit_bytes = kSubtreeBytes);

/// Returns the layout of a file that is one morsel of a directory pool, with room for
/// `capacity_bytes`, a multiple of 2 MiB. Magic and checksum are set.
/// Errors  kInvalidArgument: no file can be that large.
Result<OnHeap<PoolSuperblock>> PlanSingle(uint64_t capacity_bytes, const Window& window,
                                          const Id& id, const std::string& subject);

/// Whether the first kSuperblocks superblocks at `bytes` belong to no pool at all, not even to a
/// damaged one.
bool LooksForeign(const char* bytes);

/// Whether the first kSuperblocks superblocks at `bytes` begin a file that is one morsel of a
/// directory pool, or was one before it was damaged.
bool LooksSingle(const char* bytes);

/// Erases the magic of both superblocks: from then on the medium holds no pool.
/// Durability  on return.
void EraseSuperblocks(char* medium, pmem::Persist persist);

/// Writes both superblocks, the magic of each last. The caller has flushed all else of the pool.
/// Durability  on return; after a crash before that, there is no pool, or this one.
void WriteSuperblocks(char* medium, const PoolSuperblock& superblock, pmem::Persist persist);

/// Returns the superblock that says what the pool is. `bytes` are the first 8192 bytes of the
/// medium, which is `medium_bytes` long.
/// Errors  kCorrupt (foreign, damaged or truncated); kVersion; kInvalidArgument (an image).
Result<OnHeap<PoolSuperblock>> ChooseSuperblock(const char* bytes, uint64_t medium_bytes,
                                                const std::string& subject);

/// Whether both superblocks are valid and differ in nothing but their sequence. [POOL-1]
bool SuperblocksAgree(const char* bytes);

}  // namespace morsel
