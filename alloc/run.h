// What a process remembers of a slab or an extent. Nothing here is on the medium.
#pragma once

#include <array>
#include <cstdint>

#include "alloc/heap_layout.h"
#include "alloc/line_counter.h"

namespace morsel::alloc {

/// Made at the run's first touch. It stays until the heap is closed, for the next run that begins
/// at the same unit: threads may still hold its counters.
struct Run {
  UnitIndex head{};
  UnitKind kind = UnitKind::kNone;  ///< kNone: nothing lives here now
  uint64_t units = 0;
  LineCounter word;  ///< of an extent's head; a slab's is durable before its first block

  // Slabs only.
  unsigned size_class = 0;
  char* start = nullptr;
  uint64_t used = 0;    ///< allocated blocks
  uint64_t hint = 0;    ///< no free block in a 64-bit word before this one
  bool listed = false;  ///< in its class' list of slabs with room
  Run* next = nullptr;  ///< in that list
  Run* previous = nullptr;
  std::array<LineCounter, kBitLinesMax> lines;

  uint64_t capacity() const { return EndBlock(size_class) - FirstBlock(size_class); }
};

}  // namespace morsel::alloc
