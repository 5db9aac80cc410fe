// Checksums: XXH3, from the xxHash library (Yann Collet, https://xxhash.com).
#pragma once

#include <cstddef>
#include <cstdint>

namespace morsel {

/// The 64-bit XXH3 of the bytes, with seed 0.
uint64_t Checksum64(const void* bytes, size_t size_bytes);

/// A 128-bit checksum. It is used where equal sums are taken to mean equal bytes.
struct Sum128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const Sum128&, const Sum128&) = default;
};
/// The 128-bit XXH3 of the bytes, with seed 0.
Sum128 Checksum128(const void* bytes, size_t size_bytes);

}  // namespace morsel
