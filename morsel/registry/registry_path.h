// Where the registry of this process' user lies.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"
#include "morsel/pool/address_window.h"
#include "os/file/system_calls.h"

namespace morsel {

/// Root's part of the registries: a file for each user by uid, and `windows`.
inline constexpr char kSharedRegistries[] = "/var/lib/morsel/addresses";

/// Where a registry is, and which part of the addresses it grants.
struct RegistryPlace {
  std::string path;
  /// The part that root has given the user; nothing: all of them.
  std::optional<Window> window;
};

/// Returns where this process finds its registry, and makes the folders in the user's own home that
/// are missing; or nothing: MORSEL_ADDRESSES is empty, or there is no place for one.
/// shared  kSharedRegistries; another one in tests.
std::optional<RegistryPlace> FindRegistry(const std::string& shared = kSharedRegistries);

/// Gives the user a part of `all` that no other user of `shared` has, a sixteenth of what is left,
/// and a registry there, for which this process must be root. Who has one keeps it.
/// Durability  on return.
/// Errors      kAddressExhausted: the users' parts take all; kPermission, kNoSpace, kIo;
///             kCorrupt: `windows` is not as this function writes it.
Result<RegistryPlace> MakeRegistryFor(uid_t user, const Window& all,
                                      const std::string& shared = kSharedRegistries,
                                      os::SystemCalls& calls = os::KernelCalls());

}  // namespace morsel
