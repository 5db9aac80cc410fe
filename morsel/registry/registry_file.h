// The file of the registry, locked: its slots and words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "morsel/registry/registry_layout.h"
#include "os/file/directory.h"
#include "os/file/file.h"

namespace morsel {

/// The file of a registry, which this object alone reads and writes as long as it lives.
///
/// Ownership  the lock ends with the object, or with the process. Children of fork(2) do not have
///            it.
/// Threads    one call at a time.
class RegistryFile {
 public:
  /// Opens the file at `path` and locks it. If there is none, it is made; if its header is damaged,
  /// it is put aside as `path`.damaged, and a new one is made. The directory must be there.
  /// Errors  kBusy: others have had the lock for two seconds; kVersion; kPermission: it is another
  ///         user's; others by errno.
  static Result<RegistryFile> OpenLocked(os::SystemCalls& calls, const std::string& path);

  /// Reads the slots [first, first + count). A slot that is damaged is as it is.
  Result<std::vector<RegisteredPoolSlot>> ReadSlots(GranuleWord first, uint64_t count) const;
  /// Writes the slot, with its checksum. A slot without path, id and anything else becomes free.
  /// Durability  none before Sync().
  Status WriteSlot(GranuleWord number, RegisteredPoolSlot slot) const;

  /// Reads the words of the granules [begin, end).
  Result<std::vector<GranuleWord>> ReadWords(uint64_t begin, uint64_t end) const;
  /// Writes words from the granule `begin` on.
  /// Durability  none before Sync().
  Status WriteWords(uint64_t begin, const std::vector<GranuleWord>& words) const;

  Status Sync() const { return file_.Sync(); }

  /// Lets others read and write the file, until LockAgain().
  void Unlock() const;
  /// Errors  as OpenLocked(); kNotFound: it is not the registry any more.
  Status LockAgain() const;

 private:
  explicit RegistryFile(os::File file) : file_(std::move(file)) {}

  os::File file_;
};

/// Whether somebody has written the slot, and it is whole.
bool IsWhole(const RegisteredPoolSlot& slot);

}  // namespace morsel
