// A pool's side of the registry: what every kind of pool does to get addresses for new morsels.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "morsel/pool/pool.h"
#include "morsel/registry/address_registry.h"
#include "morsel/registry/registered_pool.h"
#include "os/file/system_calls.h"
#include "os/memory/address_range.h"

namespace morsel {

/// The capacity of a morsel for which nobody has asked for one, in a window that has so many bytes
/// free: 16 GiB, but at most 1/1024 of these, and no more than fits into one piece of them, and at
/// least 64 MiB; a power of two.
uint64_t DefaultCapacityFor(const FreeAddresses& free);

/// The addresses that a morsel takes.
AddressSpan SpanOf(const CatalogRecord& record);

/// Without a registry its calls do nothing and return nothing.
/// Threads  any, after Find().
class PoolAddresses {
 public:
  /// Looks for the registry of this process' user.
  /// path  the pool's; window: from where it gives addresses.
  void Find(os::SystemCalls& calls, const Id& id, const std::string& path, const Window& window);

  bool has_registry() const { return registry_.has_value(); }
  /// From where new morsels get addresses: the pool's window, or the user's part of it.
  const Window& window() const { return pool_.window; }

  /// The pool, for the calls below, which the caller completes by `stamp`, `list` and
  /// `is_being_made`.
  const RegisteredPool& pool() const { return pool_; }

  /// Reserves addresses for a new morsel that the registry grants and `take_place` does not refuse,
  /// and which this process has free; nothing: there is no registry. What `take_place` took last
  /// may still be taken then.
  /// moved_from  as for BasesFor().
  /// Errors  as AddressRegistry::Take(); kNoMemory.
  Result<std::optional<os::AddressRange>> Take(const RegisteredPool& pool,
                                               const CatalogRecord& record, uint64_t moved_from,
                                               const std::string& label,
                                               const AddressRegistry::Accept& take_place,
                                               std::optional<RegistryFile>& opened);
  /// As those of AddressRegistry.
  void Enter(const RegisteredPool& pool);
  void NoteName(const RegisteredPool& pool, const std::optional<RegistryFile>& opened);
  bool Claim(const AddressSpan& span);
  void GiveBack(const RegisteredPool& pool, const AddressSpan& span, const PoolStamp& before);
  /// Gives back what `span` has of granules that `kept` has nothing of.
  void GiveBackAllBut(const RegisteredPool& pool, const AddressSpan& span, const AddressSpan& kept,
                      const PoolStamp& before);

  /// What impl::Pool::CheckNotAnothers() says.
  Status CheckNotAnothers(const CatalogRecord& record);

  /// The capacity of a new morsel for which nobody has asked for one.
  /// Cost  as CountFree(), but not each time.
  uint64_t DefaultCapacityBytes();

 private:
  RegisteredPool pool_;
  std::optional<AddressRegistry> registry_;
  std::atomic<uint64_t> free_when_swept_ = UINT64_MAX;
  /// What DefaultCapacityBytes() last answered, which holds for so many further bytes. 0: it is to
  /// be counted anew.
  std::atomic<uint64_t> default_bytes_ = 0;
  std::atomic<int64_t> default_holds_for_ = 0;
};

}  // namespace morsel
