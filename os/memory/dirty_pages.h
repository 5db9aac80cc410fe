// Finds the pages of a morsel's frames that were written since they were last asked for.
//
// `scan`: userfaultfd write-protects the frames, the kernel notes each first store by itself, and
// PAGEMAP_SCAN tells them and protects them again (Linux 6.7 and later). `fault`: a thread of ours
// answers each first store and takes the protection away, and the page tables tell later where
// there is none (Linux 5.7 and later, of hugetlb and memory files 5.19; needs the right to answer
// the faults of system calls: root, CAP_SYS_PTRACE, vm.unprivileged_userfaultfd or
// /dev/userfaultfd). `compare`: nothing is known, and whoever stores an image compares all of it.
// The first that the kernel has and allows is used; MORSEL_DIRTY chooses one.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "os/memory/frames.h"
#include "os/memory/page_set.h"

namespace morsel::pmem {

/// [DRT-1] A page that was written since Track(), and is in the set of no Collect() since, is in
///         that of the next.
/// [DRT-2] Pages that were never touched are not looked at one by one, get no page table, and cost
///         nothing.
/// Threads  one call at a time; the frames' are not its concern.
class DirtyPages {
 public:
  /// Errors  kInvalidArgument: MORSEL_DIRTY has no such way; kUnsupported: it names one that is not
  ///         to be had.
  static Result<std::unique_ptr<DirtyPages>> Open();
  virtual ~DirtyPages() = default;
  DirtyPages(const DirtyPages&) = delete;
  DirtyPages& operator=(const DirtyPages&) = delete;

  /// "scan", "fault" or "compare".
  virtual const char* way() const = 0;

  /// From now on stores to the frames from `begin` on, where one of them begins, are noted, those
  /// of system calls too. Ends with the mapping, or with this object, which the frames outlive.
  /// Errors  kNoMemory, kIo: they are not.
  virtual Status Track(const Frames& frames, uint64_t begin) = 0;

  /// Adds what was written of the frames, all tracked, since the last time, and notes stores anew.
  /// False: nothing is known.
  /// Errors  kIo, kNoMemory: some of it may be known to nobody any more.
  virtual Result<bool> Collect(const Frames& frames, PageSet& pages) = 0;

 protected:
  DirtyPages() = default;
};

}  // namespace morsel::pmem
