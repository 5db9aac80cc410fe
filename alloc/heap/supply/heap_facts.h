// What the parts of a heap know of it from its opening on.
#pragma once

#include <cstdint>

#include "alloc/heap/layout/heap_layout.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// None of it changes while the heap is open.
struct HeapFacts {
  /// The layer above changes in it what belongs to roots.
  HeapHeader* header;
  pmem::Persist persist;
  /// Under the fine contract stores reach the medium one by one.
  bool fine;
  /// The heap stores nothing on the medium.
  bool read_only;

  /// The root table, for the layer above: root_table_bytes() of them, which may be none.
  void* root_table() const { return reinterpret_cast<char*>(header) + header->root_table_offset; }
  uint64_t root_table_bytes() const { return header->root_table_bytes; }
};

}  // namespace morsel::alloc
