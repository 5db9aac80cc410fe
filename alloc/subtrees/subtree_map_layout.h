// The subtree map on the medium: one word for each 2 MiB of data.
#pragma once

#include <cstdint>

#include "base/checksum.h"
#include "base/units.h"

namespace morsel::alloc {

enum class SubtreeRole : uint64_t { kHuge = 1, kGiant = 2 };

/// What a word says that is not 0.
///
/// [S-1] A word of 0 is a free subtree, or inside a giant one.
/// [S-2] A word is live iff its owner is live, of its role, and has more subtrees than its
/// position.
///       Any other word of good check is stale: it counts as free.
/// [S-3] A giant subtree is its first word; its other 511 words are 0.
/// [S-4] For each live owner each position of its size (of a giant one each 512th) is in exactly
/// one
///       live word, and no two live subtrees overlap.
/// [S-5] Space, an owner or a position is used anew only when no stale word speaks of it durably.
/// [S-6] A word of bad check, or of an owner that cannot be, is damage: nothing is granted from a
///       map that has any, or that breaks [S-4], since what it calls free may not be.
struct SubtreeWord {
  SubtreeRole role = SubtreeRole::kHuge;
  uint64_t owner = 0;     ///< 1 .. kOwnersMax: the slot of the catalog and 1
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

/// Bits 0-27 position, 28-45 owner, 46-47 role, 48-63 the low bits of XXH3 over bits 0-47 as 8
/// bytes.
inline uint64_t Encode(const SubtreeWord& subtree) {
  const uint64_t said = subtree.position | subtree.owner << kPositionBits |
                        static_cast<uint64_t>(subtree.role) << kRoleShift;
  return said | Checksum64(&said, sizeof said) << kCheckShift;
}

/// Whether `word`, not 0, is something that Encode() returns; then *subtree is what was said.
inline bool Decode(uint64_t word, SubtreeWord* subtree) {
  const uint64_t role = word >> kRoleShift & 3;
  subtree->position = word & (kPositionsMax - 1);
  subtree->owner = word >> kPositionBits & kOwnersMax;
  subtree->role = static_cast<SubtreeRole>(role);
  return (role == 1 || role == 2) && subtree->owner != 0 && Encode(*subtree) == word;
}

}  // namespace morsel::alloc
