// Where a heap lives, as the layer above describes it.
#pragma once

#include <cstdint>
#include <optional>

#include "alloc/heap/supply/heap_frames.h"
#include "base/random.h"
#include "pmem/persist/persist.h"

namespace morsel::alloc {

/// The address range that a heap lives in, and what is known of it.
struct HeapPlace {
  void* base = nullptr;
  uint64_t size_bytes = 0;      ///< a multiple of kSubtreeBytes
  uint64_t capacity_bytes = 0;  ///< how large it may grow; also a multiple of kSubtreeBytes
  Id id{};
  /// What StoppedWorld::LiveBytes() said when the heap was last closed, or when its image was
  /// written. Nothing: it is counted when it is first asked for.
  std::optional<uint64_t> live_bytes = std::nullopt;
  /// Nothing was ever allocated in the heap, so that its memory is zero behind what FormatHeap()
  /// wrote.
  bool is_new = false;
  /// The memory of a range that is no medium; nullptr: it is one. They outlive the heap.
  HeapFrames* frames = nullptr;
  /// A Guard sees every block that is allocated or freed.
  bool guarded = false;
};

/// Writes an empty heap into `place`, whose memory is zero. The root table, in which the layer
/// above keeps roots, has `root_table_bytes` of zeroes.
/// Durability  on return.
void FormatHeap(const HeapPlace& place, uint64_t root_table_bytes, pmem::Persist persist);

}  // namespace morsel::alloc
