// The bytes of `.morsel-pool`, the file that makes a directory a pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/random.h"

namespace morsel {

inline constexpr char kPoolFileName[] = ".morsel-pool";
inline constexpr uint64_t kPoolFileMagic = 0x31524944'4c53524d;  // "MRSLDIR1"
inline constexpr uint32_t kPoolFileVersion = 1;
inline constexpr uint64_t kPoolFileFeatures = 0;

/// The whole file, little endian. It never changes once it is there. Magic, checksum and version
/// keep their places in every version.
struct PoolFileLayout {
  uint64_t magic;
  uint64_t checksum;  ///< XXH3-64 of the structure with this field zero
  uint32_t version;
  uint32_t reserved_0;
  uint64_t features;  ///< a bit that the library does not know: it must not open the pool
  Id id;
  uint64_t window_begin;
  uint64_t window_end;
  uint64_t reserved_1[8];
};
static_assert(sizeof(PoolFileLayout) == 128 && std::is_trivially_copyable_v<PoolFileLayout>);
static_assert(offsetof(PoolFileLayout, checksum) == 8 && offsetof(PoolFileLayout, version) == 16);
static_assert(offsetof(PoolFileLayout, features) == 24 && offsetof(PoolFileLayout, id) == 32);
static_assert(offsetof(PoolFileLayout, window_begin) == 48 &&
              offsetof(PoolFileLayout, window_end) == 56);
static_assert(std::has_unique_object_representations_v<PoolFileLayout>);

}  // namespace morsel
