#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace morsel {

uint64_t Checksum64(const void* bytes, size_t size_bytes) { return XXH3_64bits(bytes, size_bytes); }

Sum128 Checksum128(const void* bytes, size_t size_bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes, size_bytes);
  return {hash.low64, hash.high64};
}

}  // namespace morsel
