// Frames: the DRAM behind a morsel that has an image, placed in its address range.
//
// Private anonymous memory. A child has none of it (see AddressRange), so that no
// page is ever copied on write behind the program's back.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "pmem/address_range.h"

namespace morsel::pmem {

/// Puts zeroed, writable memory at [offset, offset + size_bytes) of the range, both multiples of
/// the page size. Taken back with AddressRange::Withdraw().
/// Errors  kNoMemory: the range is as before.
Status PlaceFrames(AddressRange& range, uint64_t offset, uint64_t size_bytes);

/// Makes [offset, offset + size_bytes), where frames are, read-only: a store ends in SIGSEGV.
/// Errors  kNoMemory.
Status ProtectFrames(const AddressRange& range, uint64_t offset, uint64_t size_bytes);

/// Puts the zeroed, writable page of this process at `offset`: what lies beside a morsel and is
/// never on the medium.
/// Errors  kNoMemory: the range is as before.
Status PlaceProcessPage(AddressRange& range, uint64_t offset);

}  // namespace morsel::pmem
