// Finds the pages of a morsel's frames that were written since they were last asked for.
//
// `scan`: userfaultfd write-protects the frames, the kernel notes each first store by itself, and
// PAGEMAP_SCAN tells them and protects them again (Linux 6.7 and later). `compare`: nothing is
// known, and whoever stores an image compares all of it. The first is used where the kernel has it
// and allows it; MORSEL_DIRTY=scan or MORSEL_DIRTY=compare chooses one.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "pmem/page_set.h"

namespace morsel::pmem {

/// [DRT-1] A page that was written since Track(), and is in the set of no Collect() since, is in
///         that of the next.
/// Threads  one call at a time; the frames' are not its concern.
class DirtyPages {
 public:
  /// Errors  kInvalidArgument: MORSEL_DIRTY has no such way; kUnsupported: it has to be scan, which
  ///         is not to be had.
  static Result<std::unique_ptr<DirtyPages>> Open();
  virtual ~DirtyPages() = default;
  DirtyPages(const DirtyPages&) = delete;
  DirtyPages& operator=(const DirtyPages&) = delete;

  /// "scan" or "compare".
  virtual const char* way() const = 0;

  /// From now on stores to private memory at [memory, memory + size_bytes) are noted, those of
  /// system calls too. Ends with the mapping, or with this object.
  /// Errors  kNoMemory, kIo: they are not.
  virtual Status Track(char* memory, uint64_t size_bytes) = 0;

  /// Adds what was written of the morsel at `base` since the last time, and notes stores anew.
  /// False: nothing is known. Errors  kIo, kNoMemory: some of it may be known to nobody any more.
  virtual Result<bool> Collect(char* base, uint64_t size_bytes, PageSet& pages) = 0;

 protected:
  DirtyPages() = default;
};

}  // namespace morsel::pmem
