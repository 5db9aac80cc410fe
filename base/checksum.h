// XXH3, by the xxHash library (Yann Collet, https://xxhash.com).
#pragma once

#include <cstddef>
#include <cstdint>

namespace morsel {

/// XXH3, 64 bits, seed 0.
uint64_t Checksum64(const void* bytes, size_t size_bytes);

/// XXH3, 128 bits, seed 0: where equal sums are taken for equal bytes.
struct Sum128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const Sum128&, const Sum128&) = default;
};
Sum128 Checksum128(const void* bytes, size_t size_bytes);

}  // namespace morsel
