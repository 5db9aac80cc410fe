#include "alloc/subtrees/free_subtrees.h"

#include <algorithm>

#include "base/bits.h"
#include "base/check.h"

namespace morsel::alloc {

FreeSubtrees::FreeSubtrees(uint64_t count, uint64_t phase)
    : count_(count),
      phase_(phase),
      shift_((kSubtreesPerGiant - phase % kSubtreesPerGiant) % kSubtreesPerGiant),
      free_count_(count),
      bits_(DivideUp(count, 64), ~uint64_t{0}),
      free_in_group_(count == 0 ? 0 : (count - 1 + shift_) / kSubtreesPerGiant + 1),
      whole_(free_in_group_.size()),
      broken_(free_in_group_.size()) {
  for (uint64_t group = 0; group < free_in_group_.size(); ++group) {
    CountFree(group, GroupEnd(group) - GroupBegin(group));
  }
}

// [F-2]
void FreeSubtrees::CountFree(uint64_t group, uint64_t free_now) {
  free_in_group_[group] = static_cast<uint32_t>(free_now);
  const bool is_whole = free_now == kSubtreesPerGiant;
  is_whole ? whole_.Add(group) : whole_.Remove(group);
  free_now > 0 && !is_whole ? broken_.Add(group) : broken_.Remove(group);
}

uint64_t FreeSubtrees::GroupBegin(uint64_t group) const {
  return group == 0 ? 0 : group * kSubtreesPerGiant - shift_;
}

uint64_t FreeSubtrees::GroupEnd(uint64_t group) const {
  return std::min(count_, (group + 1) * kSubtreesPerGiant - shift_);
}

void FreeSubtrees::Take(uint64_t index, uint64_t size_subtrees) {
  MORSEL_CHECK(Within(index, size_subtrees, count_));
  for (uint64_t i = index; i < index + size_subtrees; ++i) {
    MORSEL_CHECK(IsFree(i));
    bits_[i / 64] &= ~(uint64_t{1} << i % 64);
    CountFree(GroupOf(i), free_in_group_[GroupOf(i)] - 1);
  }
  free_count_ -= size_subtrees;
}

void FreeSubtrees::Release(uint64_t index, uint64_t size_subtrees) {
  MORSEL_CHECK(Within(index, size_subtrees, count_));
  for (uint64_t i = index; i < index + size_subtrees; ++i) {
    MORSEL_CHECK(!IsFree(i));
    bits_[i / 64] |= uint64_t{1} << i % 64;
    CountFree(GroupOf(i), free_in_group_[GroupOf(i)] + 1);
  }
  free_count_ += size_subtrees;
}

void FreeSubtrees::ChooseIn(uint64_t group, uint64_t wanted,
                            std::vector<SubtreeIndex>& chosen) const {
  const uint64_t end = GroupEnd(group);
  uint64_t at = GroupBegin(group);
  looked_at_ += (end - at) / 64 + 1;
  while (chosen.size() < wanted && (at = NextBit(bits_.data(), at, end, true)) < end) {
    chosen.push_back(SubtreeIndex(at++));
  }
}

std::vector<SubtreeIndex> FreeSubtrees::ChooseHuge(uint64_t wanted) const {
  std::vector<SubtreeIndex> chosen;
  for (const NumberSet* groups : {&broken_, &whole_}) {
    for (uint64_t group = 0; chosen.size() < wanted; ++group) {
      group = groups->First(group);
      if (group == NumberSet::kNone) break;
      ChooseIn(group, wanted, chosen);
    }
  }
  return chosen;
}

std::vector<SubtreeIndex> FreeSubtrees::ChooseGiant(uint64_t wanted) const {
  std::vector<SubtreeIndex> chosen;
  for (uint64_t group = 0; chosen.size() < wanted; ++group) {
    group = whole_.First(group);
    if (group == NumberSet::kNone) break;
    chosen.push_back(SubtreeIndex(GroupBegin(group)));
  }
  return chosen;
}

}  // namespace morsel::alloc
