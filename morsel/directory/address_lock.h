// `.morsel-lock`, the file on which those who make morsels in a directory pool lock the addresses
// that they are about to take: the addresses [base, end) are bytes of the file.
#pragma once

#include <cstdint>
#include <optional>

#include "base/descriptor.h"
#include "base/result.h"
#include "morsel/registry/registry_file.h"
#include "os/file/directory.h"
#include "os/file/file.h"
#include "os/file/file_lock.h"

namespace morsel {

inline constexpr char kLockFileName[] = ".morsel-lock";

/// Locks of addresses, against other processes and against other objects of this one.
///
/// [ADL-1] Who publishes a morsel has the lock of its addresses from before it lists the pool until
///         after the morsel has its name. So of two who want the same addresses, the later one
///         finds the lock or the morsel.
///
/// Ownership  the locks end with the object, or with the process. Children of fork(2) do not have
///            them.
/// Threads    one call at a time.
class AddressLock {
 public:
  /// Makes the file if there is none, and its mode what who may write the directory needs, as far
  /// as this process may. Only its length means something, and nothing is lost with it.
  /// Durability  none.
  static void Prepare(const os::Directory& directory);

  /// Opens the file of the directory, and makes it first if it is missing.
  /// Errors  kPermission, kNoSpace, kIo.
  static Result<AddressLock> Open(const os::Directory& directory);

  /// Locks [base, base + size_bytes). Returns nothing if it has them now, and else addresses in
  /// that range that somebody else has locked.
  /// Errors  kUnsupported: the file system has no such locks. kIo.
  Result<std::optional<os::ByteSpan>> TryLock(uint64_t base, uint64_t size_bytes);

  /// Locks a byte that stands for the morsel's file. False if somebody else has. See
  /// DirectoryPool::LockBeside().
  /// Errors  as TryLock().
  Result<bool> TryLockWriter(const FileIdentity& morsel);

  /// Gives what the last TryLock() has locked back.
  void Unlock();

  /// Counts a name that is about to be given in the directory, for NamesGiven(). Where it cannot be
  /// counted, who knows the names lists them again. What the count takes on the disk is bounded.
  /// Durability  none.
  void CountName() const;
  /// How many names have been given in the directory since the file was made: by its length.
  uint64_t NamesGiven() const;

  /// The path of `.morsel-lock`, for messages.
  const std::string& path() const { return file_.path(); }

  /// The file of the registry that has granted what is locked, for the note that follows.
  std::optional<RegistryFile>& registry() { return registry_; }

 private:
  explicit AddressLock(os::File file) : file_(std::move(file)) {}

  os::File file_;
  os::ByteSpan locked_;
  std::optional<RegistryFile> registry_;
};

}  // namespace morsel
