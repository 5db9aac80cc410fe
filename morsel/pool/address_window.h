// Where new morsels go: the part of the address space that a pool uses, and how
// a base is chosen in it so that ranges do not meet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "morsel/pool/taken_ranges.h"
#include "os/memory/address_range.h"

namespace morsel {

/// [begin, end), both multiples of 1 GiB.
struct Window {
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// 64 TiB less 1 TiB of the 47-bit space, clear of executable, stack, mmap top and ASan's shadow.
inline constexpr Window kDefaultWindow = {0x100100000000, 0x500000000000};

/// MORSEL_WINDOW=start-end (hexadecimal), or the default where it is not set.
/// Errors  kInvalidArgument, quoting what was set.
Result<Window> WindowFromEnvironment();

/// Reserves the range of a new morsel: the first place at or after one that `id` decides, so that
/// pools of other hosts seldom choose the same, that is free in the pool and in this process.
/// The base is aligned to 1 GiB if capacity_bytes may reach that, else to 2 MiB.
/// taken   the ranges of the pool's morsels.
/// Errors  kAddressExhausted; kNoMemory.
/// Cost    one system call, and what TakenRanges::FirstFree() says; the process' mappings are read
///         only where that place is one of them.
Result<pmem::AddressRange> ReserveNew(const Window& window, const Id& id, uint64_t capacity_bytes,
                                      const TakenRanges& taken, const std::string& label);

}  // namespace morsel
