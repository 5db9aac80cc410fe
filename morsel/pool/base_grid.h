// Where the base of a morsel may be.
#pragma once

#include <cstdint>

#include "base/bits.h"

namespace morsel {

/// The addresses `first`, `first + step`, `first + 2 * step`, ... `step` is a power of two.
struct BaseGrid {
  /// All multiples of `alignment`.
  BaseGrid(uint64_t alignment) : step(alignment) {}
  /// Those whose remainder by `step_bytes` is that of `like`.
  BaseGrid(uint64_t step_bytes, uint64_t like) : step(step_bytes), first(like % step_bytes) {}

  /// Returns the first one at or after `address`.
  uint64_t From(uint64_t address) const {
    return address <= first ? first : first + AlignUp(address - first, step);
  }

  uint64_t step;
  uint64_t first = 0;
};

}  // namespace morsel
