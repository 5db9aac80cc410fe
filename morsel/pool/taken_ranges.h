// The address ranges that nobody else may have, in order: those of a pool's morsels, or what a
// process has mapped.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace morsel {

/// Threads  one at a time, FirstFree() included.
class TakenRanges {
 public:
  /// Ranges may meet, as in a damaged pool: then each is looked at every time.
  /// Cost  by the logarithm of how many there are.
  void Add(uint64_t base, uint64_t size_bytes);
  /// One that was added.
  void Remove(uint64_t base, uint64_t size_bytes);

  /// The first aligned base in [from, end) with size_bytes of room before the next range and `end`.
  /// Cost  by the logarithm, and the ranges between `from` and the base.
  std::optional<uint64_t> FirstFree(uint64_t from, uint64_t end, uint64_t size_bytes,
                                    uint64_t alignment) const;

  uint64_t count() const { return ends_.size(); }
  /// How many ranges FirstFree() has looked at in all.
  uint64_t looked_at() const { return looked_at_; }

 private:
  std::multimap<uint64_t, uint64_t> ends_;  ///< by begin
  bool some_meet_ = false;
  mutable uint64_t looked_at_ = 0;
};

}  // namespace morsel
