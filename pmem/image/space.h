// Which bytes of an image's file are free. Volatile: made from the trees at open.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "pmem/image/layout.h"

namespace morsel::pmem::image {

/// Where an entry's bytes are, padding included.
struct Extent {
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  uint64_t end() const { return offset + size_bytes; }
  friend auto operator<=>(const Extent&, const Extent&) = default;
};

/// What a table's `entry`, which is present, takes of the file.
Extent TableExtentOf(const Entry& entry);
/// What the bytes and sums of a leaf that is present take; not its patches.
Extent LeafExtentOf(const Entry& leaf);

/// [SPC-1] Free runs do not touch each other, nor the end.
/// Threads  one.
class Space {
 public:
  /// All that is not in `used`, which is sorted; what meets there counts once.
  explicit Space(const std::vector<Extent>& used = {});

  /// Claims size_bytes, a multiple of 4096: the smallest free run that holds them, else the end.
  uint64_t Take(uint64_t size_bytes);

  /// Gives back what was taken, or a part of it.
  void Give(Extent extent);

  /// Nothing is in use from here on.
  uint64_t end() const { return end_; }
  /// The free runs below end(), by offset.
  const std::map<uint64_t, uint64_t>& free_runs() const { return free_; }

 private:
  void Insert(uint64_t begin, uint64_t end);
  void Erase(std::map<uint64_t, uint64_t>::iterator run);

  std::map<uint64_t, uint64_t> free_;                // offset -> end
  std::set<std::pair<uint64_t, uint64_t>> by_size_;  // the same: size, offset
  uint64_t end_ = kExtentsStart;
};

}  // namespace morsel::pmem::image
