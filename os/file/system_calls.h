// The seam towards files. Every system call that changes what a file or a directory holds, or makes
// it durable, goes through here, so that a test can make it fail, fall short or be forgotten.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "os/file/io_ring.h"

namespace morsel::os {

/// Each function makes the system call of its name, and returns -1 and sets errno if that fails.
/// OpenAt() adds O_CLOEXEC. RenameAt2() and LinkAt() work within one directory.
/// Threads  any.
class SystemCalls {
 public:
  virtual ~SystemCalls() = default;
  virtual int OpenAt(int directory, const char* name, int flags, mode_t mode);
  virtual ssize_t PRead(int file, void* bytes, size_t size_bytes, int64_t offset);
  virtual ssize_t PWrite(int file, const void* bytes, size_t size_bytes, int64_t offset);
  /// Writes as PWrite() does what lies within the file, which does not become longer. On return the
  /// medium has what was written, as after FDataSync(), and nothing is said about other writes.
  virtual ssize_t PWriteSynced(int file, const void* bytes, size_t size_bytes, int64_t offset);
  virtual int FTruncate(int file, int64_t size_bytes);
  virtual int FAllocate(int file, int mode, int64_t offset, int64_t size_bytes);
  virtual int FDataSync(int file);
  virtual int FSync(int file);
  virtual int RenameAt2(int directory, const char* from, const char* to, unsigned flags);
  virtual int LinkAt(int directory, const char* from, const char* to);
  virtual int UnlinkAt(int directory, const char* name, int flags);
  virtual int MkDirAt(int directory, const char* name, mode_t mode);
  virtual int FChMod(int file, mode_t mode);
  /// Changes the group alone.
  virtual int FChOwn(int file, gid_t group);
  virtual int FSetXAttr(int file, const char* name, const void* value, size_t size_bytes);

  /// Opens a ring for reads and writes of one file. The ring of this class makes each request by
  /// PRead() or PWrite() when it is waited for. So a test that overrides those two sees the
  /// requests of rings as well.
  /// Ownership  the ring uses these calls and the file's descriptor, which outlive it.
  /// Errors     nullptr and errno if there is no ring for the file.
  virtual std::unique_ptr<IoRing> OpenRing(const IoRingSetup& setup);
};

/// The kernel's own calls. Its rings are made by io_uring.
/// Ownership  a static object.
SystemCalls& KernelCalls();

}  // namespace morsel::os
