// The registry of a user's host: which pool has which addresses, so that no two morsels of the host
// meet (docs/decisions/0021-a-registry-of-addresses.md).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "morsel/registry/granted.h"
#include "morsel/registry/registered_pool.h"
#include "morsel/registry/registry_file.h"
#include "os/file/system_calls.h"

namespace morsel {

/// Nothing depends on it: where it cannot be had, the answers are "nothing is known", no error, and
/// LastError() stays as it is.
///
/// Threads  any. Each call opens and locks the file.
class AddressRegistry {
 public:
  /// The registry in the file `path`, which need not be there.
  AddressRegistry(os::SystemCalls& calls, std::string path)
      : calls_(&calls), path_(std::move(path)) {}

  /// Tries to take the addresses from `base` on. Nothing: they are taken, and what an earlier call
  /// took is given back. A value: they cannot be had, and the search goes on there.
  using Accept = std::function<Result<std::optional<uint64_t>>(uint64_t base)>;

  /// Grants the pool the first free addresses, from a base of the grid on, behind those that it was
  /// granted last, and calls `take_place` for each place that is free in the registry, which
  /// decides. The registry is locked meanwhile, so that `take_place` must be quick. Returns the
  /// base. Nothing: there is no registry, and `take_place` may have accepted a place. opened is the
  /// registry's file afterwards, unlocked, for NoteName().
  /// Durability  on return [REG-2].
  /// Errors      kAddressExhausted; those of `pool.list` and of `take_place`.
  /// Cost        independent of the number of morsels, unless the pool's stamp has changed
  ///             otherwise than by NoteName(): then the pool is listed.
  Result<std::optional<uint64_t>> Take(const RegisteredPool& pool, uint64_t size_bytes,
                                       const BaseGrid& grid, const Accept& take_place,
                                       std::optional<RegistryFile>& opened);

  /// Enters a pool that has got its id just now, but has morsels: what another pool had at its path
  /// is free then [REG-3].
  void Enter(const RegisteredPool& pool);

  /// Notes that a morsel at addresses that were taken has got its name, by which the pool's
  /// names_given grew by one.
  /// opened  by Take(), or nothing.
  void NoteName(const RegisteredPool& pool, const std::optional<RegistryFile>& opened);

  /// Notes that the pool has a morsel at these addresses, which Take() has not granted. Returns
  /// false if there is a registry that does not know the pool, which is to be entered then.
  bool Claim(const RegisteredPool& pool, const AddressSpan& span);

  /// Gives back addresses of a morsel that the pool has no more.
  /// before  the pool's stamp before the removal.
  void GiveBack(const RegisteredPool& pool, const AddressSpan& span, const PoolStamp& before);

  /// Returns the path of another pool that has some of these addresses, or nothing. It is empty if
  /// it is too long to be kept.
  std::optional<std::string> AnotherHolder(const RegisteredPool& pool, const AddressSpan& span);

  /// Returns what of the window no pool has, or nothing. With kSwept, what pools had that are gone
  /// is given back first, for which the path of each pool is looked up.
  enum class Gone : uint8_t { kAsKnown, kSwept };
  std::optional<FreeAddresses> Free(const Window& window, Gone gone);

  /// A pool that has addresses.
  struct Holder {
    std::string path;  ///< empty: it is too long to be kept
    Presence presence;
    std::vector<AddressSpan> spans;  ///< in order of address
  };
  /// Gives back what pools had that are gone, and returns all that is left.
  /// Errors  as RegistryFile::OpenLocked(); kIo.
  Result<std::vector<Holder>> Holders();

 private:
  std::optional<RegistryFile> TryOpen() const;
  template <class Change>
  void WithSlotOf(const RegisteredPool& pool, const Change& change) const;
  template <class Change>
  static void ChangeSlot(const RegistryFile& file, const RegisteredPool& pool,
                         const Change& change);

  os::SystemCalls* calls_;
  std::string path_;
};

}  // namespace morsel
