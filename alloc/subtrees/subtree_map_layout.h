// The subtree map on the medium: one word for each 2 MiB of data.
#pragma once

#include <cstdint>

#include "base/checksum.h"
#include "base/units.h"

namespace morsel::alloc {

enum class SubtreeRole : uint64_t { kHuge = 1, kGiant = 2 };

/// What a word says that is not 0.
///
/// [S-1] A word of 0 is a free subtree, or lies inside a giant one.
/// [S-2] A word is live iff its owner is live, has its role, and has more subtrees than the word's
///       position. Any other word whose check is good is stale: it counts as free.
/// [S-3] A giant subtree is its first word; its other 511 words are 0.
/// [S-4] For each live owner, each position below its size (for a giant owner, each 512th) is in
///       exactly one live word, and no two live subtrees overlap.
/// [S-5] Space, an owner or a position is used anew only when no stale word names it durably.
/// [S-6] A word whose check is bad, or whose owner cannot exist, is damage. Nothing is granted from
///       a map that has any, or that breaks [S-4], because what it calls free may not be.
struct SubtreeWord {
  SubtreeRole role = SubtreeRole::kHuge;
  uint64_t owner = 0;     ///< 1 .. kOwnersMax: the slot of the catalog, plus 1
  uint64_t position = 0;  ///< in the morsel, counted in subtrees of 2 MiB

  friend bool operator==(const SubtreeWord&, const SubtreeWord&) = default;
};

inline constexpr uint64_t kPositionBits = 28;
inline constexpr uint64_t kOwnerBits = 18;
inline constexpr uint64_t kRoleShift = kPositionBits + kOwnerBits;
inline constexpr uint64_t kCheckShift = kRoleShift + 2;
inline constexpr uint64_t kPositionsMax = uint64_t{1} << kPositionBits;
inline constexpr uint64_t kOwnersMax = (uint64_t{1} << kOwnerBits) - 1;
static_assert(kCheckShift == 48);

/// The word of a subtree. Bits 0-27 are the position, 28-45 the owner, 46-47 the role, and 48-63
/// the check: the low bits of XXH3 over bits 0-47 as 8 bytes.
inline uint64_t Encode(const SubtreeWord& subtree) {
  const uint64_t said = subtree.position | subtree.owner << kPositionBits |
                        static_cast<uint64_t>(subtree.role) << kRoleShift;
  return said | Checksum64(&said, sizeof said) << kCheckShift;
}

/// Whether `word`, which is not 0, is a value that Encode() returns. If so, *subtree is what it
/// says; if not, *subtree means nothing.
inline bool Decode(uint64_t word, SubtreeWord* subtree) {
  const uint64_t role = word >> kRoleShift & 3;
  subtree->position = word & (kPositionsMax - 1);
  subtree->owner = word >> kPositionBits & kOwnersMax;
  subtree->role = static_cast<SubtreeRole>(role);
  return (role == 1 || role == 2) && subtree->owner != 0 && Encode(*subtree) == word;
}

}  // namespace morsel::alloc
