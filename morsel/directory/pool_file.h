// `.morsel-pool`, the file that makes a directory a pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/random.h"
#include "base/result.h"
#include "morsel/pool/address_window.h"
#include "os/file/directory.h"
#include "pmem/media/medium.h"

namespace morsel {

inline constexpr char kPoolFileName[] = ".morsel-pool";
inline constexpr uint64_t kPoolFileMagic = 0x31524944'4c53524d;  // "MRSLDIR1"
inline constexpr uint32_t kPoolFileVersion = 1;
inline constexpr uint64_t kPoolFileFeatures = 0;

/// The whole file, little endian. It never changes once it is there. Magic, checksum and version
/// keep their places in every version.
struct PoolFileLayout {
  uint64_t magic;
  uint64_t checksum;  ///< XXH3-64 of the structure with this field zero
  uint32_t version;
  uint32_t reserved_0;
  uint64_t features;  ///< a bit that the library does not know: it must not open the pool
  Id id;
  uint64_t window_begin;
  uint64_t window_end;
  uint64_t reserved_1[8];
};
static_assert(sizeof(PoolFileLayout) == 128 && std::is_trivially_copyable_v<PoolFileLayout>);
static_assert(offsetof(PoolFileLayout, checksum) == 8 && offsetof(PoolFileLayout, version) == 16);
static_assert(offsetof(PoolFileLayout, features) == 24 && offsetof(PoolFileLayout, id) == 32);
static_assert(offsetof(PoolFileLayout, window_begin) == 48 &&
              offsetof(PoolFileLayout, window_end) == 56);
static_assert(std::has_unique_object_representations_v<PoolFileLayout>);

/// What the file says of the pool.
class PoolFile {
 public:
  /// Makes the directory a pool. If another process does so at the same time, one of them succeeds.
  /// Durability  on return.
  /// Errors      kExists; kNoSpace, kPermission, kIo; kInvalidArgument (MORSEL_WINDOW).
  static Status Create(const os::Directory& directory);

  /// Reads the file. Nothing is locked, and nothing stays open.
  /// read_only  if not, the file is opened for writing, which shows whether this process may write
  ///            the pool.
  /// Errors     kNotFound; kCorrupt; kVersion; kPermission; kIo.
  static Result<PoolFile> Read(const os::Directory& directory, bool read_only);

  const Id& id() const { return id_; }
  const Window& window() const { return window_; }
  /// What the pool is stored on.
  const pmem::Medium& medium() const { return *medium_; }

 private:
  PoolFile(const Id& id, const Window& window, const pmem::Medium& medium)
      : id_(id), window_(window), medium_(&medium) {}

  Id id_;
  Window window_;
  const pmem::Medium* medium_;
};

}  // namespace morsel
