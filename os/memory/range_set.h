// A set of offsets, as ranges that do not touch each other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

namespace morsel::os {

/// Threads  one.
class RangeSet {
 public:
  /// Adds [begin, end). Ranges that it meets become one with it.
  void Add(uint64_t begin, uint64_t end) {
    if (begin >= end) return;
    auto at = ranges_.upper_bound(begin);
    if (at != ranges_.begin() && std::prev(at)->second >= begin) --at;
    while (at != ranges_.end() && at->first <= end) {
      begin = std::min(begin, at->first);
      end = std::max(end, at->second);
      at = ranges_.erase(at);
    }
    ranges_.emplace(begin, end);
  }

  void Remove(uint64_t begin, uint64_t end) {
    if (begin >= end) return;
    auto at = ranges_.upper_bound(begin);
    if (at != ranges_.begin() && std::prev(at)->second > begin) --at;
    while (at != ranges_.end() && at->first < end) {
      const uint64_t first = at->first;
      const uint64_t last = at->second;
      at = ranges_.erase(at);
      if (first < begin) ranges_.emplace(first, begin);
      if (last > end) at = ranges_.emplace(end, last).first;
    }
  }

  /// The range that has `offset`; {offset, offset} if none has it.
  std::pair<uint64_t, uint64_t> At(uint64_t offset) const {
    const auto behind = ranges_.upper_bound(offset);
    if (behind == ranges_.begin() || std::prev(behind)->second <= offset) return {offset, offset};
    return *std::prev(behind);
  }
  bool Has(uint64_t offset) const { return At(offset).second > offset; }
  /// Where the first range begins that ends behind `offset`; `end` if none begins before that.
  uint64_t Next(uint64_t offset, uint64_t end) const {
    if (Has(offset)) return offset;
    const auto behind = ranges_.upper_bound(offset);
    return behind == ranges_.end() ? end : std::min(end, behind->first);
  }

  /// By where they begin, with where they end.
  const std::map<uint64_t, uint64_t>& ranges() const { return ranges_; }

 private:
  std::map<uint64_t, uint64_t> ranges_;
};

}  // namespace morsel::os
