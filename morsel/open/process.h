// What this process has open: which morsel an address belongs to, and what a
// fork must take away from the child.
#pragma once

#include <cstdint>
#include <mutex>

#include "base/mutex.h"
#include "morsel/pool/pool.h"

namespace morsel {

class OpenMorsel;

/// How often this process, or those that it was forked from, has forked away since the start. A
/// handle made at another count than the present is a parent's.
uint32_t ForkCount();

/// While what it returns lives, forks of other threads wait.
[[nodiscard]] std::unique_lock<Mutex> KeepFromForking();

/// Lets a fork close the pool's descriptors in the child.
/// Threads  any.
void RememberPool(impl::Pool* pool);
void ForgetPool(impl::Pool* pool);

/// Enters [base, base + size_bytes), multiples of kSubtreeBytes, into the table.
/// Threads  any.
void RememberRange(uint64_t base, uint64_t size_bytes, OpenMorsel* morsel);
void ForgetRange(uint64_t base, uint64_t size_bytes);

/// The morsel whose range holds the address, or nullptr.
/// Threads  any; waits for nobody.
/// Cost  two loads.
OpenMorsel* MorselAt(const void* address);

}  // namespace morsel
