// Finds the pages of a morsel's frames that were written since they were last asked for.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "os/memory/frames.h"
#include "os/memory/page_set.h"

namespace morsel::pmem {

/// [DRT-1] A page that was written since Track(), and is in the set of no Collect() since, is in
///         that of the next.
/// [DRT-2] Pages that were never touched are not looked at one by one, get no page table, and cost
///         nothing.
/// Threads  one call at a time; the frames' are not its concern.
class DirtyTracker {
 public:
  virtual ~DirtyTracker() = default;
  DirtyTracker(const DirtyTracker&) = delete;
  DirtyTracker& operator=(const DirtyTracker&) = delete;

  /// "scan", "fault" or "compare".
  virtual const char* method() const = 0;

  /// From now on stores to the frames from `begin` on, where one of them begins, are noted, those
  /// of system calls too. Ends with the mapping, or with this object, which the frames outlive.
  /// Errors  kNoMemory, kIo: they are not.
  virtual Status Track(const Frames& frames, uint64_t begin) = 0;

  /// Adds what was written of the frames, all tracked, since the last time, and notes stores anew.
  /// False: nothing is known.
  /// Errors  kIo, kNoMemory: some of it may be known to nobody any more.
  virtual Result<bool> Collect(const Frames& frames, PageSet& pages) = 0;

 protected:
  DirtyTracker() = default;
};

}  // namespace morsel::pmem
