// Which units of a region are free: a bit for each, and a tree over them that finds the
// lowest run of free units without looking at the shorter ones.
//
// A leaf of the tree stands for 64 units, which are one word of bits, and each node above
// for what its two children stand for. A node says how many units are free at its
// beginning, at its end, and at most in one piece; and for which powers of two a run of
// so many begins at a multiple of that many, as slabs do. Nothing of this is on the
// medium.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "alloc/heap/layout/heap_layout.h"

namespace morsel::alloc {

/// All numbers of units count from the region's first unit.
/// Threads  one at a time.
class FreeUnits {
 public:
  /// All units are free.
  FreeUnits();

  bool IsUsed(uint64_t unit) const { return (used_[unit / 64] >> (unit % 64) & 1) != 0; }
  /// The first used unit in [begin, end), or `end`.
  uint64_t FirstUsed(uint64_t begin, uint64_t end) const;
  /// The unit after the last used one.
  uint64_t EndOfUsed() const { return kUnitsPerRegion - nodes_[1].suffix; }

  /// Marks [begin, end) as used or as free.
  void Mark(uint64_t begin, uint64_t end, bool used);
  /// As Mark() of one unit as used, but the finding functions know of it only after Index().
  void MarkUsedLater(uint64_t unit) {
    used_[unit / 64] |= uint64_t{1} << (unit % 64);
    end_of_later_ = std::max(end_of_later_, unit / 64 + 1);
  }
  void Index() {
    if (end_of_later_ != 0) Index(0, end_of_later_ - 1);
    end_of_later_ = 0;
  }

  /// A run of free units that begins `before` units before the region, if that is not 0, or else at
  /// `begin`. Or, where nothing was found, what may become one in the next region: `before` units
  /// are free at the region's end.
  struct Hole {
    bool found;
    uint64_t before;
    uint64_t begin;
  };
  /// Finds the lowest run of at least `count` free units that begins at or after `from`. If `from`
  /// is 0, the run may have begun earlier: the `before` units before the region are free.
  /// Adds to nodes_read how many nodes of the tree were looked at.
  Hole Find(uint64_t from, uint64_t count, uint64_t before, uint64_t& nodes_read) const;

  /// Finds the lowest 2^order free units that begin at a multiple of 2^order.
  /// Units  order: 0 .. kOrderMax.
  std::optional<uint64_t> FindAligned(unsigned order, uint64_t& nodes_read) const;
  static constexpr unsigned kOrderMax = 6;

 private:
  static constexpr uint64_t kWords = kUnitsPerRegion / 64;
  struct Node {
    uint16_t prefix;
    uint16_t suffix;
    uint16_t longest;
    uint16_t orders;  ///< bit k: 2^k free units begin at a multiple of 2^k
  };

  /// A node below which `units` units are, all free.
  static Node AllFree(uint64_t units);
  static Node LeafOf(uint64_t used);
  static Node Join(const Node& left, const Node& right, uint64_t units_each);
  void Index(uint64_t first_word, uint64_t last_word);

  std::array<uint64_t, kWords> used_{};
  uint64_t end_of_later_ = 0;             ///< no word from here on was changed by MarkUsedLater()
  std::array<Node, 2 * kWords> nodes_{};  ///< the children of node i are 2i and 2i + 1
};

}  // namespace morsel::alloc
