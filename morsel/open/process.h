// What this process has open: which morsel an address belongs to, and what a forked child must not
// keep.
#pragma once

#include <cstdint>
#include <mutex>

#include "base/mutex.h"
#include "morsel/pool/pool.h"

namespace morsel {

class OpenMorsel;

/// Counts the forks between the first process that used a pool and this one. A handle that was made
/// at another count belongs to a parent. A child of a raw clone(2) counts as one, too, from Linux
/// 4.14 on.
/// Threads  any; it takes no lock.
uint32_t ForkCount();

/// Makes forks of other threads wait as long as the returned lock lives.
/// Threads  any.
[[nodiscard]] std::unique_lock<Mutex> KeepFromForking();

/// Enters the pool into the list of those whose descriptors a forked child closes, and takes it out
/// again.
/// Threads  any.
void RememberPool(impl::Pool* pool);
void ForgetPool(impl::Pool* pool);

/// Enters [base, base + size_bytes), multiples of kSubtreeBytes, into the process' table of
/// addresses, and takes it out again.
/// Threads  any.
void RememberRange(uint64_t base, uint64_t size_bytes, OpenMorsel* morsel);
void ForgetRange(uint64_t base, uint64_t size_bytes);

/// Returns the morsel whose range holds the address, or nullptr.
/// Threads  any; it takes no lock.
/// Cost     two loads.
OpenMorsel* MorselAt(const void* address);

}  // namespace morsel
