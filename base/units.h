// Sizes that the whole house shares, and numbers that cannot be mixed up.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace morsel {

inline constexpr uint64_t kKiB = uint64_t{1} << 10;
inline constexpr uint64_t kMiB = uint64_t{1} << 20;
inline constexpr uint64_t kGiB = uint64_t{1} << 30;

/// What a store reaches the medium in, and what a flush pushes.
inline constexpr uint64_t kLineBytes = 64;
inline constexpr uint64_t kPageBytes = 4 * kKiB;
/// A huge subtree: what one table of 4 KiB pages spans.
inline constexpr uint64_t kSubtreeBytes = 2 * kMiB;
/// A giant subtree: what one table of huge ones spans.
inline constexpr uint64_t kGiantBytes = kGiB;
inline constexpr uint64_t kSubtreesPerGiant = kGiantBytes / kSubtreeBytes;

/// A number that says what it counts. Two of different tags do not mix.
template <class Tag>
class Number {
 public:
  constexpr Number() = default;
  constexpr explicit Number(uint64_t value) : value_(value) {}
  constexpr uint64_t value() const { return value_; }
  friend constexpr auto operator<=>(Number, Number) = default;

 private:
  uint64_t value_ = 0;
};

/// The first thing a pool's data is cut into, counted from the pool's data start.
using SubtreeIndex = Number<struct SubtreeIndexTag>;
/// A subtree of a morsel, counted from its base.
using SubtreePosition = Number<struct SubtreePositionTag>;
using SubtreeCount = Number<struct SubtreeCountTag>;
/// A 64 KiB unit of a heap, counted from its base.
using UnitIndex = Number<struct UnitIndexTag>;
using UnitCount = Number<struct UnitCountTag>;

}  // namespace morsel
