// A set of address ranges that are taken, in order of address: those of a pool's morsels, or those
// that a process has mapped.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "morsel/pool/base_grid.h"

namespace morsel {

/// Threads  one call at a time, FirstFree() included.
class TakenRanges {
 public:
  /// Adds a range. Ranges may overlap, as they do in a damaged pool; from then on FirstFree() looks
  /// at ranges from the lowest on.
  /// Cost  logarithmic in the number of ranges.
  void Add(uint64_t base, uint64_t size_bytes);
  /// Removes a range that was added.
  void Remove(uint64_t base, uint64_t size_bytes);

  /// Returns the first base of the grid at or after `from` that has size_bytes of room before the
  /// next range and before `end`, or nothing.
  /// Cost  logarithmic in the number of ranges, and linear in those between `from` and the base.
  std::optional<uint64_t> FirstFree(uint64_t from, uint64_t end, uint64_t size_bytes,
                                    const BaseGrid& grid) const;

  uint64_t count() const { return ends_.size(); }
  /// How many ranges FirstFree() has looked at in all.
  uint64_t looked_at() const { return looked_at_; }

 private:
  std::multimap<uint64_t, uint64_t> ends_;  ///< the end of each range, by its begin
  bool some_meet_ = false;                  ///< two ranges have overlapped at some time
  mutable uint64_t looked_at_ = 0;
};

}  // namespace morsel
