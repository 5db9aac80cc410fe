// A file of a DAX file system: whether it is one, and that its space comes in pieces that one
// fault maps.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "os/file/file.h"

namespace morsel::pmem {

/// Whether the file's mappings are of persistent memory itself: MAP_SYNC is not refused.
bool IsDax(const File& file);

/// Asks the file system to give the file, which has no space yet, space in aligned pieces of 2 MiB.
/// A wish: XFS fulfils it, others have no such thing or do so by how they were made.
void PreferHugeExtents(const File& file);

/// Stores zeros to [offset, offset + size_bytes), which has space: what was only allocated would
/// cost a journal's transaction at the first store to each piece.
/// Durability  none before a sync.
/// Errors      kIo, kNoSpace.
Status WriteZeros(const File& file, uint64_t offset, uint64_t size_bytes);

/// How many of the `subtrees` subtrees of 2 MiB at `memory`, which nothing has touched since it was
/// mapped, one fault maps whole. Each is read in two places; what cannot be read counts as not.
/// Threads  one at a time.
/// Cost     one or two faults for each subtree.
uint64_t CountMappedHuge(const void* memory, uint64_t subtrees);

}  // namespace morsel::pmem
