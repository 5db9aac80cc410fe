#include "base/checksum.h"

#include <xxhash.h>
// With this header XXH3 uses the widest vector instructions that the processor has. Without it XXH3
// uses those that it was compiled for.
#ifdef __x86_64__
#include <xxh_x86dispatch.h>
#endif

namespace morsel {

uint64_t Checksum64(const void* bytes, size_t size_bytes) { return XXH3_64bits(bytes, size_bytes); }

Sum128 Checksum128(const void* bytes, size_t size_bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes, size_bytes);
  return {hash.low64, hash.high64};
}

}  // namespace morsel
