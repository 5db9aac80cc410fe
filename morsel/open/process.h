// What this process has open: which morsel an address belongs to, and what a forked child must not
// keep.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "base/descriptor.h"
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

/// Enters a handle of the program's, a pool's or a morsel's, into the list of those that are open,
/// and takes it out again. A forked child keeps its parent's: their calls say that they are.
/// Threads  any.
void RememberHandle(const void* handle);
void ForgetHandle(const void* handle);
bool IsHandle(const void* handle);

/// As long as it lives, the morsel `name` of the pool `place` is open in this process.
/// Threads  any.
class OpenName {
 public:
  OpenName(const FileIdentity& place, const std::string& name);
  ~OpenName();
  OpenName(const OpenName&) = delete;
  OpenName& operator=(const OpenName&) = delete;

 private:
  const FileIdentity place_;
  const std::string name_;
};

/// Whether the morsel is open in this process, by whatever handle of the pool.
/// Threads  any.
bool IsOpenHere(const FileIdentity& place, const std::string& name);

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
