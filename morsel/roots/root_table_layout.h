// The named roots of a heap that was made in version 2, behind its header. Nothing is added to the
// table any more: it is read, and becomes empty.
//
// [ROOT-6] A root of the table exists iff its object is not 0 and the trie has none of its name.
// [ROOT-7] No two roots of the table have one name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/units.h"

namespace morsel {

struct RootEntry {
  char name[112];   ///< 1 to 111 bytes, and ends with a zero byte
  uint64_t object;  ///< the object's address; 0: the entry is free
  uint64_t reserved;
};
static_assert(sizeof(RootEntry) == 2 * kLineBytes);
static_assert(offsetof(RootEntry, object) == 112);
static_assert(std::has_unique_object_representations_v<RootEntry>);
static_assert(std::is_trivially_copyable_v<RootEntry>);

inline constexpr uint64_t kRootTableBytes = 256 * sizeof(RootEntry);

}  // namespace morsel
