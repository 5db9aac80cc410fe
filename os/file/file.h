// An open file. Reads and writes are complete: one that falls short is continued, or is an error.
#pragma once

#include <seam_hook.h>
#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "base/descriptor.h"
#include "base/result.h"
#include "os/file/system_calls.h"

namespace morsel::os {

/// Where a program has closed the descriptor, every call fails, and none touches the file that has
/// the number now: see Descriptor.
///
/// Ownership  the descriptor is closed with the object; move-only.
/// Threads    any number may read and write at different offsets; all other calls: one at a time.
class File {
 public:
  File() = default;
  /// Takes over `descriptor`. Messages call the file `path`.
  /// Ownership  `calls` outlives the file.
  File(SystemCalls& calls, int descriptor, std::string path)
      : calls_(&MORSEL_MUTABLE_CALLS(calls)), descriptor_(descriptor), path_(std::move(path)) {}
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  /// Opens `name` in the directory with the descriptor `directory`, as openat(2) does; with
  /// AT_FDCWD `name` is a path. O_CLOEXEC is added. Messages call the file `path`.
  /// Errors  by errno, see FailErrno().
  static Result<File> Open(SystemCalls& calls, int directory, const std::string& name, int flags,
                           mode_t mode, std::string path);

  bool is_open() const { return descriptor_.is_open(); }
  /// The descriptor for one system call, see Descriptor::number(). It is not to be kept.
  int descriptor() const { return descriptor_.number(); }
  const FileIdentity& identity() const { return descriptor_.identity(); }
  const std::string& path() const { return path_; }
  SystemCalls& calls() const { return *calls_; }
  /// Closes the descriptor now. Does nothing if it is closed.
  void Close();
  /// From now on children of fork(2) close the descriptor when they begin, so that a lock of the
  /// file is not theirs. To be called while NoForkMeanwhile() is held since the file was opened.
  void CloseInChildren();

  /// Returns another descriptor of this one's file description, which children close, too. The
  /// locks are the second one's from now on: closing this one leaves them. Messages call it `path`.
  /// Errors  by errno, see FailErrno().
  Result<File> SecondDescriptor(std::string path) const;

  /// The number, whoever has it now: for a call that changes nothing, and whose answer says which
  /// file it was.
  int descriptor_at_open() const { return descriptor_.number_at_open(); }
  /// What fstat(2) says of the file.
  /// Errors  by errno, see FailErrno(): also where somebody else has closed the descriptor.
  /// Cost    one fstat(2), which is also that of descriptor().
  Result<struct stat> Stat() const;

  /// The file's size, as fstat(2) has it.
  /// Errors  by errno, see FailErrno().
  Result<uint64_t> SizeBytes() const;
  /// What the file takes on its medium, as fstat(2) has it: less than its size where it has holes.
  /// Errors  as SizeBytes().
  Result<uint64_t> AllocatedBytes() const;

  /// Reads [offset, offset + size_bytes).
  /// Errors  kCorrupt: the file ends before, so it was truncated; kIo.
  Status ReadExactly(void* bytes, size_t size_bytes, uint64_t offset) const;

  /// Does what Stat() and then ReadExactly() do.
  /// Errors  theirs.
  /// Cost    one fstat(2) beside the read.
  Result<struct stat> StatAndRead(void* bytes, size_t size_bytes, uint64_t offset) const;

  /// Writes all bytes at `offset`.
  /// Durability  none before Sync().
  /// Errors      kNoSpace, kIo: any part of the bytes may have been written.
  Status WriteAll(const void* bytes, size_t size_bytes, uint64_t offset) const;

  /// Writes all bytes at `offset`, within the file, and makes them durable.
  /// Durability  these bytes, on return; nothing else.
  /// Errors      by errno, see FailErrno(); any part of the bytes may have been written.
  Status WriteSynced(const void* bytes, size_t size_bytes, uint64_t offset) const;

  /// Opens the same file once more, for reads and writes that go past the page cache; they go
  /// through it where the file system refuses that. Messages call it as they call this one.
  /// Units   offsets, lengths and addresses of reads and writes are multiples of 4096.
  /// Errors  by errno, see FailErrno(): there is no /proc, or the process has lost its rights.
  Result<File> OpenDirect(bool writes) const;

  /// Calls fdatasync(2).
  /// Durability  everything written before, on return.
  /// Errors      kNoSpace, kIo: anything written since the last success may be lost. A second call
  ///             that succeeds proves nothing about it.
  Status Sync() const;

  /// Gives the file or directory the permission bits `mode`. A directory keeps its
  /// set-group-ID bit. Nothing is done if it has them.
  /// Errors  kUnsupported: its file system gives others, and keeps to them; kPermission; kIo.
  Status SetMode(mode_t mode) const;

  /// Makes the file `size_bytes` long, by ftruncate(2).
  /// Durability  none before Sync().
  /// Errors      by errno, see FailErrno().
  Status Resize(uint64_t size_bytes) const;

 private:
  Status ReadBy(int descriptor, void* bytes, size_t size_bytes, uint64_t offset) const;

  SystemCalls* calls_ = nullptr;
  Descriptor descriptor_;
  bool is_closed_in_children_ = false;
  mutable bool leaves_locks_ = false;  ///< when it is closed: SecondDescriptor() has them
  std::string path_;
};

}  // namespace morsel::os
