#include "alloc/subtrees/subtree_map.h"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>

#include "base/bits.h"
#include "base/check.h"
#include "base/error.h"

namespace morsel::alloc {
namespace {

using pmem::Store;

// Stands where no word has the position.
constexpr SubtreeIndex kNowhere = SubtreeIndex(~uint64_t{0});

[[gnu::format(printf, 1, 2)]] std::string Message(const char* format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

}  // namespace

void SubtreeMap::Format() {
  for (uint64_t i = 0; i < count_; ++i) Store(words_ + i, 0);
  persist_.Flush(words_, count_ * sizeof(uint64_t));
}

void SubtreeMap::Load(const std::vector<OwnerState>& owners, Access access) {
  MORSEL_CHECK(!is_loaded_);
  owned_.resize(owners.size());
  incomplete_.resize(owners.size());
  if (access == Access::kWriteAfterUnclean) {
    // ORDER  every word that is read  <  what is granted because of it
    // WHY    a killed process may have left words of 0 that are visible and not durable. After a
    //        power cut, the words that were there before would be back, and claim space that was
    //        granted to others since.                                                       [S-5]
    // CRASH  before: nothing was granted. After: what reads as free is free for good.
    // TEST   alloc/subtrees/subtree_map_test: WhatReadsAsFreeAfterAKillIsMadeDurable
    persist_.Range(words_, count_ * sizeof(uint64_t));
  }
  for (uint64_t i = 0; i < owners.size(); ++i) {
    if (!owners[i].is_damaged) continue;
    findings_.push_back(Message("slot %" PRIu64 " of the catalog is damaged", i));
  }
  std::vector<uint64_t> stale;
  Classify(owners, stale);
  FindMissing(owners);
  is_damaged_ = !findings_.empty();
  if (access != Access::kRead && !is_damaged_) Clean(stale);
  is_loaded_ = true;
}

// What a word is, by itself and by what the catalog says of its owner:
//
//   0                                                free
//   bad check, or no such owner                      damage
//   good      owner is free, of the other role,
//             or has no such position                stale: free, to be cleaned
//   good      owner is live and has the position     live
//   good      owner is damaged                       left alone
void SubtreeMap::Classify(const std::vector<OwnerState>& owners, std::vector<uint64_t>& stale) {
  for (uint64_t index = 0; index < count_; ++index) {
    const uint64_t word = pmem::Load(words_ + index);
    if (word == 0) continue;
    SubtreeWord subtree;
    if (!Decode(word, &subtree) || subtree.owner > owners.size()) {
      findings_.push_back(Message("word %" PRIu64 " of the subtree map is 0x%016" PRIx64
                                  ", which nothing could have written [S-6]",
                                  index, word));
      continue;
    }
    const OwnerState& owner = owners[subtree.owner - 1];
    if (owner.is_damaged) continue;  // nobody knows what it owns; nothing will be granted
    if (!owner.is_live || owner.role != subtree.role || subtree.position >= owner.size_subtrees) {
      stale.push_back(index);
    } else {
      AddLive(index, subtree, owner.size_subtrees);
    }
  }
}

void SubtreeMap::AddLive(uint64_t index, const SubtreeWord& subtree, uint64_t size_subtrees) {
  const uint64_t unit = SubtreesOf(subtree.role);
  std::vector<SubtreeIndex>& owned = owned_[subtree.owner - 1];
  // The catalog may be wrong: an owner of more than the whole pool cannot be complete anyway.
  owned.resize(std::min(size_subtrees, count_) / unit, kNowhere);
  const bool fits = Within(index, unit, count_) && subtree.position % unit == 0 &&
                    subtree.position / unit < owned.size() &&
                    (unit == 1 || free_.IsGiantAligned(index));
  bool overlaps = false;
  for (uint64_t i = index; fits && i < index + unit; ++i) overlaps |= !free_.IsFree(i);
  if (!fits || overlaps || owned[subtree.position / unit] != kNowhere) {
    incomplete_[subtree.owner - 1] = true;
    findings_.push_back(Message("word %" PRIu64 " of the subtree map says position %" PRIu64
                                " of slot %" PRIu64 ", %s [S-4]",
                                index, subtree.position, subtree.owner - 1,
                                !fits      ? "where that cannot lie"
                                : overlaps ? "inside of another subtree"
                                           : "a second time"));
    return;
  }
  owned[subtree.position / unit] = SubtreeIndex(index);
  free_.Take(index, unit);
}

void SubtreeMap::FindMissing(const std::vector<OwnerState>& owners) {
  for (uint64_t i = 0; i < owners.size(); ++i) {
    if (!owners[i].is_live) continue;
    const uint64_t due = owners[i].size_subtrees / SubtreesOf(owners[i].role);
    const uint64_t found = static_cast<uint64_t>(std::count_if(
        owned_[i].begin(), owned_[i].end(), [](SubtreeIndex s) { return s != kNowhere; }));
    if (found == due) continue;
    incomplete_[i] = true;
    findings_.push_back(Message("the subtree map has %" PRIu64 " of the %" PRIu64
                                " subtrees of slot %" PRIu64 " [S-4]",
                                found, due, i));
  }
}

void SubtreeMap::Clean(const std::vector<uint64_t>& indices) {
  if (indices.empty()) return;
  for (const uint64_t index : indices) {
    Store(words_ + index, 0);
    persist_.Flush(words_ + index, sizeof(uint64_t));
  }
  persist_.Fence();
}

Result<std::vector<SubtreeIndex>> SubtreeMap::Subtrees(uint64_t owner) const {
  MORSEL_CHECK(is_loaded_ && owner - 1 < owned_.size());
  if (incomplete_[owner - 1]) {
    return Fail(Code::kCorrupt,
                "%s: the subtree map has not every subtree of the morsel in slot %" PRIu64
                " exactly once; 'morselctl check' says which, restore it from a copy",
                subject_.c_str(), owner - 1);
  }
  return owned_[owner - 1];
}

Result<std::vector<SubtreeIndex>> SubtreeMap::Reserve(SubtreeRole role, uint64_t size_subtrees) {
  MORSEL_CHECK(is_loaded_);
  if (is_damaged_) {
    return Fail(Code::kCorrupt,
                "%s: the subtree map is damaged, so what it calls free is not given out; save what "
                "can be read and make the pool anew ('morselctl check' says more; at first: %s)",
                subject_.c_str(), findings_.front().c_str());
  }
  const uint64_t unit = SubtreesOf(role);
  const uint64_t wanted = size_subtrees / unit;
  std::vector<SubtreeIndex> chosen;
  if (size_subtrees <= free_.free_count()) {
    chosen = role == SubtreeRole::kGiant ? free_.ChooseGiant(wanted) : free_.ChooseHuge(wanted);
  }
  if (chosen.size() < wanted) {
    return Fail(Code::kNoSpace,
                "%s has not %" PRIu64 " free subtrees of %s (free: %" PRIu64
                " of 2 MiB); remove or shrink morsels, or make a larger pool",
                subject_.c_str(), wanted, unit == 1 ? "2 MiB" : "1 GiB, aligned",
                free_.free_count());
  }
  for (const SubtreeIndex subtree : chosen) free_.Take(subtree.value(), unit);
  return chosen;
}

void SubtreeMap::Cancel(SubtreeRole role, const std::vector<SubtreeIndex>& subtrees) {
  for (const SubtreeIndex subtree : subtrees) free_.Release(subtree.value(), SubtreesOf(role));
}

void SubtreeMap::Record(uint64_t owner, SubtreeRole role,
                        const std::vector<SubtreeIndex>& subtrees) {
  MORSEL_CHECK(is_loaded_ && owner - 1 < owned_.size());
  std::vector<SubtreeIndex>& owned = owned_[owner - 1];
  for (const SubtreeIndex subtree : subtrees) {
    uint64_t* const word = words_ + subtree.value();
    MORSEL_CHECK(pmem::Load(word) == 0);
    Store(word, Encode({role, owner, owned.size() * SubtreesOf(role)}));
    persist_.Flush(word, sizeof *word);
    owned.push_back(subtree);
  }
  persist_.Fence();
}

std::vector<SubtreeIndex> SubtreeMap::Truncate(uint64_t owner, SubtreeRole role,
                                               uint64_t size_subtrees) {
  MORSEL_CHECK(is_loaded_ && owner - 1 < owned_.size());
  std::vector<SubtreeIndex>& owned = owned_[owner - 1];
  const uint64_t keep = std::min<uint64_t>(size_subtrees / SubtreesOf(role), owned.size());
  std::vector<SubtreeIndex> dropped;
  std::vector<uint64_t> stale;
  for (uint64_t i = keep; i < owned.size(); ++i) {
    if (owned[i] == kNowhere) continue;
    dropped.push_back(owned[i]);
    stale.push_back(owned[i].value());
  }
  owned.resize(keep);
  // ORDER  the words of 0  <  their space is free
  // WHY    a stale word must not outlive the next use of its space, its owner or its position: it
  //        would be live once more.                                                         [S-5]
  // CRASH  before: the words are stale, and Load() cleans them. After: the space is free.
  // TEST   alloc/subtrees/subtree_map_test: StaleWordsAreGoneBeforeTheirSpaceIsGranted
  Clean(stale);
  Cancel(role, dropped);
  return dropped;
}

}  // namespace morsel::alloc
