#include "pmem/image/space.h"

#include <algorithm>

#include "base/bits.h"
#include "base/check.h"

namespace morsel::pmem::image {

Extent ExtentOf(const Entry& entry) {
  return {entry.offset, AlignUp(entry.stored_bytes, kBlockBytes)};
}

Space::Space(const std::vector<Extent>& used) {
  for (const Extent& extent : used) {
    if (extent.offset > end_) free_.emplace(end_, extent.offset);
    end_ = std::max(end_, extent.end());
  }
}

uint64_t Space::Take(uint64_t size_bytes) {
  auto best = free_.end();
  for (auto run = free_.begin(); run != free_.end(); ++run) {
    const uint64_t room = run->second - run->first;
    if (room < size_bytes) continue;
    if (best == free_.end() || room < best->second - best->first) best = run;
  }
  if (best == free_.end()) {
    end_ += size_bytes;
    return end_ - size_bytes;
  }
  const auto [offset, end] = *best;
  free_.erase(best);
  if (offset + size_bytes < end) free_.emplace(offset + size_bytes, end);
  return offset;
}

void Space::Give(Extent extent) {
  uint64_t begin = extent.offset;
  uint64_t end = extent.end();
  MORSEL_CHECK(begin >= kExtentsStart && begin < end && end <= end_);
  auto next = free_.lower_bound(begin);
  MORSEL_CHECK(next == free_.end() || end <= next->first);
  if (next != free_.end() && next->first == end) {
    end = next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    MORSEL_CHECK(before->second <= begin);
    if (before->second == begin) {
      begin = before->first;
      free_.erase(before);
    }
  }
  if (end == end_) {
    end_ = begin;
  } else {
    free_.emplace(begin, end);
  }
}

}  // namespace morsel::pmem::image
