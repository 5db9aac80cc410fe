// Files on DAX file systems: whether a file is one, and how its space comes in pieces that one
// fault maps.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::pmem {

/// Whether mappings of the file are persistent memory itself, which is when MAP_SYNC is not
/// refused. The file must be open for reading.
bool IsDax(const os::File& file);

/// Asks the file system to allocate space in aligned pieces of 2 MiB. The file must have no space
/// yet. This is a hint: XFS follows it. Others do not know it, or align by how they were made.
void PreferHugeExtents(const os::File& file);

/// Writes zeros to [offset, offset + size_bytes), for which space is allocated. Otherwise the first
/// store to each piece would cost a transaction of the file system's journal.
/// Durability  none before a sync.
/// Errors      kIo, kNoSpace, kNoMemory.
Status WriteZeros(const os::File& file, uint64_t offset, uint64_t size_bytes);

/// How many of the `subtrees` subtrees of 2 MiB at `memory` one fault maps as a whole. Nothing may
/// have touched the memory since it was mapped. Two pages of each subtree are read in; a subtree
/// whose pages cannot be read does not count.
/// Threads  one call at a time.
/// Cost     one or two faults for each subtree.
uint64_t CountMappedHuge(const void* memory, uint64_t subtrees);

}  // namespace morsel::pmem
