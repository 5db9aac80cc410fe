// `.morsel-pool`, the file that makes a directory a pool.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/pool_file_layout.h"
#include "os/file/directory.h"
#include "pmem/media/medium.h"

namespace morsel {

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
