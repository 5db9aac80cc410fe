#include "morsel/pool/taken_ranges.h"

#include <iterator>

#include "base/bits.h"
#include "base/check.h"

namespace morsel {

void TakenRanges::Add(uint64_t base, uint64_t size_bytes) {
  const auto added = ends_.emplace(base, base + size_bytes);
  const auto next = std::next(added);
  some_meet_ |= next != ends_.end() && next->first < added->second;
  some_meet_ |= added != ends_.begin() && std::prev(added)->second > base;
}

void TakenRanges::Remove(uint64_t base, uint64_t size_bytes) {
  auto [at, end] = ends_.equal_range(base);
  while (at != end && at->second != base + size_bytes) ++at;
  MORSEL_CHECK(at != end);
  ends_.erase(at);
}

std::optional<uint64_t> TakenRanges::FirstFree(uint64_t from, uint64_t end, uint64_t size_bytes,
                                               const BaseGrid& grid) const {
  uint64_t base = grid.From(from);
  // If no ranges overlap, only the last one that begins at or before the base can reach past it.
  auto at = some_meet_ ? ends_.begin() : ends_.upper_bound(base);
  if (at != ends_.begin()) --at;
  for (; at != ends_.end(); ++at) {
    ++looked_at_;
    if (at->second <= base) continue;
    if (!Within(base, size_bytes, end)) return std::nullopt;
    if (at->first >= base + size_bytes) break;
    base = grid.From(at->second);
  }
  if (!Within(base, size_bytes, end)) return std::nullopt;
  return base;
}

}  // namespace morsel
