// Where a new morsel goes: the part of the address space that a pool uses, and the choice of a base
// in it, so that no two address ranges meet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "morsel/pool/taken_ranges.h"
#include "os/memory/address_range.h"

namespace morsel {

/// The addresses [begin, end). Both are multiples of 1 GiB.
struct Window {
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// Whether a process can have such a window: it is not empty, and neither begins at 0 nor ends
/// beyond kAddressEnd. To be asked of each window that comes from outside.
bool IsPossible(const Window& window);

/// 20 TiB of the 47-bit address space. The window keeps clear of all that the kernel maps by
/// itself, in each of its layouts: the executable and its heap from two thirds of the space on;
/// libraries and mappings from the stack down; where the stack has no limit (`ulimit -s
/// unlimited`), from a sixth of the space, 0x155555555000, down; in the old layout (`setarch -L`,
/// and old kernels where the stack has no limit) from a third, 0x2aaaaaaab000, up. Below is
/// AddressSanitizer's shadow.
inline constexpr Window kDefaultWindow = {0x160000000000, 0x2a0000000000};

/// Returns the window that MORSEL_WINDOW=start-end (hexadecimal) sets, or the default window if the
/// variable is not set.
/// Errors  kInvalidArgument; the message quotes the variable's value.
Result<Window> WindowFromEnvironment();

/// What the base of a new morsel of that capacity is a multiple of.
uint64_t AddressAlignment(uint64_t capacity_bytes);

/// Returns where the base of a new morsel of that capacity may be: the grid that is to be tried
/// first comes first.
/// moved_from  the base that its pointers have had, or 0. A move by a multiple of 4 GiB changes no
///             lower half of a word, so that a number of 32 bits there stays as it is whatever
///             lies beside it: such a base is preferred, and then one as like it as can be had, so
///             that blocks keep their alignment.
std::vector<BaseGrid> BasesFor(uint64_t capacity_bytes, uint64_t moved_from);

/// Reserves the address range of a new morsel. The search starts at a place that `id` decides, so
/// that pools of different hosts seldom choose the same range, and takes the first place that is
/// free in the pool and in this process. It begins again at the window's start when it reaches the
/// end. The base is one of BasesFor().
/// taken   the ranges of the pool's morsels.
/// Errors  kAddressExhausted; kNoMemory.
/// Cost    one system call and one TakenRanges::FirstFree(). The process' mappings are read only if
///         one of them is in the way.
Result<os::AddressRange> ReserveNew(const Window& window, const Id& id, uint64_t capacity_bytes,
                                    const TakenRanges& taken, const std::string& label,
                                    uint64_t moved_from = 0);

}  // namespace morsel
