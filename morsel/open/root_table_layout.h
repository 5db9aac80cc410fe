// The named roots of a morsel, in the heap's first bytes.
//
// [ROOT-1] A root exists iff its object is not 0; its name is durable before its object is.
// [ROOT-2] No two roots have one name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/units.h"

namespace morsel {

inline constexpr uint64_t kRootNameBytesMax = 111;
inline constexpr uint64_t kRootCount = 256;

struct RootEntry {
  char name[kRootNameBytesMax + 1];  ///< ends with a zero byte
  uint64_t object;                   ///< the object's address; 0: the entry is free
  uint64_t reserved;
};
static_assert(sizeof(RootEntry) == 2 * kLineBytes);
static_assert(offsetof(RootEntry, object) == 112);
static_assert(std::has_unique_object_representations_v<RootEntry>);
static_assert(std::is_trivially_copyable_v<RootEntry>);

inline constexpr uint64_t kRootTableBytes = kRootCount * sizeof(RootEntry);

}  // namespace morsel
