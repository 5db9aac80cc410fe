#include "morsel/pool.h"

#include "base/bits.h"
#include "base/units.h"

namespace morsel {

static_assert(kProcessPageBytes == kPageBytes);

uint64_t RangeBytes(uint64_t capacity_bytes) {
  return AlignUp(capacity_bytes + kProcessPageBytes, kSubtreeBytes);
}

}  // namespace morsel
