// Which subtrees are free: a volatile bitmap, with a count for each group of 1 GiB.
//
// [F-1] The count of a group is the number of its free bits.
// [F-2] A group is in the set of whole groups iff it has 512 free subtrees, and in the set of
//       broken groups iff it has at least one and fewer than 512.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/number_set.h"
#include "base/units.h"

namespace morsel::alloc {

/// A group lies between two 1 GiB boundaries of the medium. The first and the last group may be
/// shorter, and then they are never whole.
/// Threads  one at a time.
class FreeSubtrees {
 public:
  /// All `count` subtrees are free at first. Those with the index `phase` + n * 512 are aligned to
  /// 1 GiB on the medium.
  FreeSubtrees(uint64_t count, uint64_t phase);

  bool IsFree(uint64_t index) const { return bits_[index / 64] >> index % 64 & 1; }
  uint64_t free_count() const { return free_count_; }
  uint64_t count() const { return count_; }
  /// Whether the subtree is aligned to 1 GiB on the medium.
  bool IsGiantAligned(uint64_t index) const {
    return index % kSubtreesPerGiant == phase_ % kSubtreesPerGiant;
  }

  /// Marks `size_subtrees` subtrees from `index` on as taken. All of them must be free, or the
  /// process ends.
  void Take(uint64_t index, uint64_t size_subtrees);
  /// Marks them as free. All of them must be taken, or the process ends.
  void Release(uint64_t index, uint64_t size_subtrees);

  /// Chooses `wanted` free subtrees, or fewer if there are no more; they stay free. Groups that are
  /// broken already come first and whole groups last, so that giant requests find whole ones.
  /// Cost  grows with what is chosen and the groups that it comes from, not with the medium's size.
  std::vector<SubtreeIndex> ChooseHuge(uint64_t wanted) const;
  /// Chooses `wanted` whole groups, or fewer if there are no more, and returns the first subtree of
  /// each. They stay free.
  /// Cost  grows with what is chosen, not with the medium's size.
  std::vector<SubtreeIndex> ChooseGiant(uint64_t wanted) const;

  /// How many words ChooseHuge() and ChooseGiant() have read so far, for tests of their cost.
  uint64_t looked_at() const { return looked_at_ + broken_.looked_at() + whole_.looked_at(); }

 private:
  // Groups begin at index 0, and at the phase and each multiple of 512 from it.
  uint64_t GroupOf(uint64_t index) const { return (index + shift_) / kSubtreesPerGiant; }
  uint64_t GroupBegin(uint64_t group) const;
  uint64_t GroupEnd(uint64_t group) const;
  void CountFree(uint64_t group, uint64_t free_now);
  void ChooseIn(uint64_t group, uint64_t wanted, std::vector<SubtreeIndex>& chosen) const;

  uint64_t count_;
  uint64_t phase_;
  uint64_t shift_;  ///< index + shift_ is a multiple of 512 at each 1 GiB boundary
  uint64_t free_count_;
  std::vector<uint64_t> bits_;
  std::vector<uint32_t> free_in_group_;
  NumberSet whole_;
  NumberSet broken_;
  mutable uint64_t looked_at_ = 0;
};

}  // namespace morsel::alloc
