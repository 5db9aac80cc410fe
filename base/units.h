// Sizes that all floors share, and number types that cannot be mixed up.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace morsel {

inline constexpr uint64_t kKiB = uint64_t{1} << 10;
inline constexpr uint64_t kMiB = uint64_t{1} << 20;
inline constexpr uint64_t kGiB = uint64_t{1} << 30;

/// A cache line. Stores reach the medium in whole lines, and a flush pushes whole lines.
inline constexpr uint64_t kLineBytes = 64;
inline constexpr uint64_t kPageBytes = 4 * kKiB;
/// A huge subtree: as much as one page table of 4 KiB pages maps.
inline constexpr uint64_t kSubtreeBytes = 2 * kMiB;
/// A giant subtree: as much as one page table of 2 MiB pages maps.
inline constexpr uint64_t kGiantBytes = kGiB;
inline constexpr uint64_t kSubtreesPerGiant = kGiantBytes / kSubtreeBytes;
/// The end of the addresses that a process has. (The kernel maps nothing above unless it is asked
/// to, and no morsel lies there.)
inline constexpr uint64_t kAddressEnd = uint64_t{1} << 47;
/// What a process can map ends before it: the kernel keeps the last page free.
inline constexpr uint64_t kMappableEnd = kAddressEnd - kPageBytes;

/// A number whose type says what it counts. Numbers with different tags do not convert to each
/// other.
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

/// A subtree of a pool, counted from the start of the pool's data.
using SubtreeIndex = Number<struct SubtreeIndexTag>;
/// A subtree of a morsel, counted from the morsel's base address.
using SubtreePosition = Number<struct SubtreePositionTag>;
using SubtreeCount = Number<struct SubtreeCountTag>;
/// A 64 KiB unit of a heap, counted from the heap's base address.
using UnitIndex = Number<struct UnitIndexTag>;
using UnitCount = Number<struct UnitCountTag>;

}  // namespace morsel
