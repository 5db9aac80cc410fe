// What an open registry grants: the words of granules, changed for one pool.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "morsel/registry/registered_pool.h"
#include "morsel/registry/registry_file.h"

namespace morsel {

/// Granules [begin, end).
struct GranuleSpan {
  uint64_t begin = 0;
  uint64_t end = 0;
};
/// The granules that have some of the addresses.
GranuleSpan GranulesOf(const AddressSpan& span);

/// The slot of a pool.
struct FoundSlot {
  GranuleWord number = 0;
  RegisteredPoolSlot slot{};
};
/// Returns the pool's slot, or nothing.
/// Errors  kIo.
Result<std::optional<FoundSlot>> FindSlot(const RegistryFile& file, const RegisteredPool& pool);

/// Makes the words what the pool is: its slot, made where there is none; a word for each granule of
/// `spans`, unless another pool has it that is not gone; and none for others, unless somebody may
/// be making a morsel there. The slot has `stamp` then.
/// Errors  kNoSpace: all slots are taken; kIo.
Result<FoundSlot> Learn(const RegistryFile& file, const RegisteredPool& pool,
                        const PoolStamp& stamp, const std::vector<AddressSpan>& spans);

/// Returns the first base of the grid at or after `from`, and before `end`, from which on
/// size_bytes are free, or nothing.
/// Errors  kIo.
Result<std::optional<uint64_t>> FirstFree(const RegistryFile& file, uint64_t from, uint64_t end,
                                          uint64_t size_bytes, const BaseGrid& grid);

/// What of a window no pool has.
struct FreeAddresses {
  uint64_t bytes = 0;
  uint64_t longest_bytes = 0;        ///< in one piece
  uint64_t longest_giant_bytes = 0;  ///< in one piece that begins at a multiple of kGiantBytes
};
/// Errors  kIo.
/// Cost    reads a word for each granule of the window.
Result<FreeAddresses> CountFree(const RegistryFile& file, const Window& window);

/// Returns the slot of another pool than `own`, which is not gone and has some of the addresses, or
/// nothing.
/// Errors  kIo.
Result<std::optional<RegisteredPoolSlot>> AnotherHolder(const RegistryFile& file,
                                                        const RegisteredPool& own,
                                                        const AddressSpan& span);

/// Makes the words of `span` that are `from` what `to` is. Returns whether there were any.
/// Errors  kIo, kNoSpace.
Result<bool> ReplaceWords(const RegistryFile& file, const GranuleSpan& span, GranuleWord from,
                          GranuleWord to);

/// Gives the addresses of pools that are gone to a copy of the pool, or back.
/// open    a pool that this process has open: what else was on its device is gone. nullptr: none.
/// Errors  kIo.
Status SweepGone(const RegistryFile& file, const RegisteredPool* open);

}  // namespace morsel
