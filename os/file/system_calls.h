// The seam towards files: every system call that changes what a file or a
// directory holds, or makes it durable, goes through here, so that tests can
// let it fail, fall short or be forgotten.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "os/file/io_ring.h"

namespace morsel::pmem {

/// Each function is the system call of that name: -1 and errno on failure.
/// Threads  any.
class SystemCalls {
 public:
  virtual ~SystemCalls() = default;
  virtual int OpenAt(int directory, const char* name, int flags, mode_t mode);
  virtual ssize_t PRead(int file, void* bytes, size_t size_bytes, int64_t offset);
  virtual ssize_t PWrite(int file, const void* bytes, size_t size_bytes, int64_t offset);
  virtual int FTruncate(int file, int64_t size_bytes);
  virtual int FAllocate(int file, int mode, int64_t offset, int64_t size_bytes);
  virtual int FDataSync(int file);
  virtual int FSync(int file);
  virtual int RenameAt2(int directory, const char* from, const char* to, unsigned flags);
  virtual int LinkAt(int directory, const char* from, const char* to);
  virtual int UnlinkAt(int directory, const char* name, int flags);
  virtual int MkDirAt(int directory, const char* name, mode_t mode);
  virtual int FChMod(int file, mode_t mode);

  /// A ring for reads and writes of one file. Here it makes each request by PRead() or PWrite(), so
  /// that who stands in for those stands in for it. nullptr and errno where there is none.
  virtual std::unique_ptr<IoRing> OpenRing(const IoRingSetup& setup);
};

/// The kernel's; its rings are io_uring's.
SystemCalls& KernelCalls();

}  // namespace morsel::pmem
