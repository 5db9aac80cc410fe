// The set of a morsel's pages that may differ from its last durable generation. It is volatile.
#pragma once

#include <bitset>
#include <cstdint>
#include <map>

#include "base/units.h"

namespace morsel::os {

inline constexpr uint64_t kPagesPerSubtree = kSubtreeBytes / kPageBytes;

/// Threads  one.
class PageSet {
 public:
  using Pages = std::bitset<kPagesPerSubtree>;

  /// Adds the pages of [offset, offset + size_bytes) of the morsel.
  /// Units  both are multiples of the page size.
  void Add(uint64_t offset, uint64_t size_bytes) {
    uint64_t page = offset / kPageBytes;
    const uint64_t end = (offset + size_bytes) / kPageBytes;
    while (page < end) {
      Pages& pages = subtrees_[SubtreePosition(page / kPagesPerSubtree)];
      do {
        pages.set(page % kPagesPerSubtree);
        ++page;
      } while (page < end && page % kPagesPerSubtree != 0);
    }
  }

  void Add(const PageSet& others) {
    for (const auto& [position, pages] : others.subtrees_) subtrees_[position] |= pages;
  }

  /// The pages of a subtree; nullptr if the set has none of it.
  /// Ownership  the set's, valid until the set is changed.
  const Pages* Of(SubtreePosition position) const {
    const auto found = subtrees_.find(position);
    return found == subtrees_.end() ? nullptr : &found->second;
  }

  const std::map<SubtreePosition, Pages>& subtrees() const { return subtrees_; }
  void Clear() { subtrees_.clear(); }

 private:
  std::map<SubtreePosition, Pages> subtrees_;
};

}  // namespace morsel::os
