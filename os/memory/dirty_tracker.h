// Finds the pages of a morsel's frames that were written since they were last collected.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "os/memory/frames.h"
#include "os/memory/page_set.h"

namespace morsel::os {

/// [DRT-1] If a page was written after Track(), and no Collect() has reported it since, the next
///         Collect() reports it.
/// [DRT-2] Pages that were never touched cost nothing: they are not visited one by one, and get no
///         page table.
///
/// Ownership  the frames outlive this object.
/// Threads    one call at a time, and no Resize() of the frames meanwhile. Any thread may store to
///            the frames.
class DirtyTracker {
 public:
  virtual ~DirtyTracker() = default;
  DirtyTracker(const DirtyTracker&) = delete;
  DirtyTracker& operator=(const DirtyTracker&) = delete;

  /// The method's name: "scan", "fault" or "compare".
  virtual const char* method() const = 0;

  /// Starts to track stores to the frames from offset `begin` on, where a frame begins. Stores by
  /// system calls count, too. Tracking ends when the memory is unmapped, or with this object.
  /// Errors  kNoMemory, kIo: the frames are not tracked.
  virtual Status Track(const Frames& frames, uint64_t begin) = 0;

  /// Adds to `pages` the pages that were written since the last Collect(), or else since Track(),
  /// and goes on tracking. All of the frames must be tracked. Returns false if the method cannot
  /// tell: then any page may have been written.
  /// Errors  kIo, kNoMemory: some of the written pages may be reported neither now nor later.
  virtual Result<bool> Collect(const Frames& frames, PageSet& pages) = 0;

 protected:
  DirtyTracker() = default;
};

}  // namespace morsel::os
