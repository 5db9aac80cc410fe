// Which subtrees are free: a volatile bitmap with a count for each 1 GiB.
//
// [F-1] The count of a group is the number of its free bits.
// [F-2] A group is among the whole ones iff all 512 of it are free, and among the broken ones iff
//       some are, and not all 512.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/number_set.h"
#include "base/units.h"

namespace morsel::alloc {

/// Groups are the stretches between 1 GiB boundaries of the medium; the first and the last may be
/// shorter.
/// Threads  one at a time.
class FreeSubtrees {
 public:
  /// All `count` subtrees are free; those with index `phase` + n * 512 are aligned to 1 GiB.
  FreeSubtrees(uint64_t count, uint64_t phase);

  bool IsFree(uint64_t index) const { return bits_[index / 64] >> index % 64 & 1; }
  uint64_t free_count() const { return free_count_; }
  uint64_t count() const { return count_; }
  bool IsGiantAligned(uint64_t index) const {
    return index % kSubtreesPerGiant == phase_ % kSubtreesPerGiant;
  }

  /// All `size_subtrees` from `index` on are free / taken before.
  void Take(uint64_t index, uint64_t size_subtrees);
  void Release(uint64_t index, uint64_t size_subtrees);

  /// The free subtrees that a huge request of `wanted` gets: from groups that are broken already,
  /// then from whole ones, so that giant requests find theirs. Fewer where there are no more.
  /// Cost  by what is chosen and the groups that it comes from, not by the medium's size.
  std::vector<SubtreeIndex> ChooseHuge(uint64_t wanted) const;
  /// Likewise the first subtrees of whole groups.
  std::vector<SubtreeIndex> ChooseGiant(uint64_t wanted) const;

  /// How many words the two have read in all, to hold them against that.
  uint64_t looked_at() const { return looked_at_ + broken_.looked_at() + whole_.looked_at(); }

 private:
  // A group begins at the phase or a multiple of 512 from it; what is before is group 0.
  uint64_t GroupOf(uint64_t index) const { return (index + shift_) / kSubtreesPerGiant; }
  uint64_t GroupBegin(uint64_t group) const;
  uint64_t GroupEnd(uint64_t group) const;
  void CountFree(uint64_t group, uint64_t free_now);
  void ChooseIn(uint64_t group, uint64_t wanted, std::vector<SubtreeIndex>& chosen) const;

  uint64_t count_;
  uint64_t phase_;
  uint64_t shift_;  ///< what makes index + shift_ a multiple of 512 at 1 GiB boundaries
  uint64_t free_count_;
  std::vector<uint64_t> bits_;
  std::vector<uint32_t> free_in_group_;
  NumberSet whole_;
  NumberSet broken_;
  mutable uint64_t looked_at_ = 0;
};

}  // namespace morsel::alloc
