// The tables of a heap that moves: header, directory, unit map, slabs.
#pragma once

#include <cstdint>
#include <memory>

#include "alloc/heap/heap.h"
#include "base/random.h"
#include "base/result.h"
#include "morsel/pool/pool.h"
#include "morsel/rebase/move.h"

namespace morsel {

/// Opens the heap whose bytes are a copy of those of the morsel `record`, and begin at `bytes`,
/// where nobody else reads them. Its header says from now on that it lies there.
/// Ownership  the bytes outlive the heap.
/// Errors     kCorrupt: it is not the heap of `record`, or is damaged; kVersion; kNoMemory.
/// Cost       reads the heads of all slabs and extents.
Result<std::unique_ptr<alloc::Heap>> OpenCopy(char* bytes, const CatalogRecord& record);

/// Makes of the copy of a heap at memory + move.shift_bytes, which is not open any more, one that
/// begins at `memory`, and says that it lies where it is to lie and is the morsel `id`.
void MoveTables(char* memory, const Move& move, const Id& id);

}  // namespace morsel
