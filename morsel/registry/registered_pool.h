// A pool, as the registry knows it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "morsel/pool/address_window.h"
#include "morsel/registry/registry_layout.h"
#include "os/file/file_lock.h"

namespace morsel {

/// Addresses [begin, end).
using AddressSpan = os::ByteSpan;

/// What changes when names are given in a pool, whoever gives them.
struct PoolStamp {
  uint64_t changed_ns = 0;
  uint64_t names_given = 0;
  friend bool operator==(const PoolStamp&, const PoolStamp&) = default;
};

/// What the registry must know of a pool.
struct RegisteredPool {
  Id id{};
  std::string path;  ///< absolute, without symbolic links
  Window window;
  bool is_device = false;
  /// Returns the pool's stamp as it is now.
  std::function<PoolStamp()> stamp;
  /// Returns the addresses of all its morsels.
  std::function<Result<std::vector<AddressSpan>>()> list;
  /// Whether somebody may be making a morsel at some of these addresses.
  std::function<bool(const AddressSpan&)> is_being_made;
};

/// The file system of a path.
struct FileSystemOf {
  uint64_t id = 0;
  uint64_t type = 0;
};
/// Returns the file system that `path` is on, or the nearest folder above it that there is.
FileSystemOf FileSystemAt(const std::string& path);

enum class Presence : uint8_t {
  kThere,
  kGone,     ///< its file system is mounted, and does not have it, or has another pool there
  kUnknown,  ///< e.g. its disk is not mounted
};
/// Whether the pool of a slot is where it was. A path that leads to a pool of another id leads to
/// one that was made after it was gone. Where the id cannot be read, the pool counts as there.
Presence PresenceOf(const RegisteredPoolSlot& slot);

}  // namespace morsel
