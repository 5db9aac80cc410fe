// What readers have mapped of an image's file since before its writer opened it.
#pragma once

#include <cstdint>
#include <vector>

#include "image/format/space.h"
#include "os/file/file.h"
#include "os/memory/range_set.h"

namespace morsel::image {

/// A reader who maps leaves locks their bytes (os::LockMapped()), and maps only while nobody writes
/// the file. So there is nothing to hold but what is found when the writer opens it, and less and
/// less of that.
///
/// [HLD-1] What is held is not in the Space, so that it is neither written, nor a hole, nor cut
///         off; and no page is written into a leaf that lies there.
///
/// Threads  one.
class HeldPlaces {
 public:
  /// Looks what others map of `file`, and adds it to `used`, which is sorted and stays so. This
  /// process has become the one that writes the file.
  void Find(const os::File& file, std::vector<FileExtent>& used);

  /// Looks again. Returns what is free and was held, and nobody maps any more.
  /// Cost  nothing where nothing is held; else some fcntl(2) for each part that is.
  std::vector<FileExtent> LookAgain(const os::File& file);

  /// Returns what may be given to the Space of `freed`, which nothing leads to any more. What is
  /// held of it LookAgain() returns, once it is not.
  std::vector<FileExtent> Release(const std::vector<FileExtent>& freed);

  /// Whether any of the extent is held.
  bool Has(const FileExtent& extent) const {
    return held_.Next(extent.offset, extent.end()) < extent.end();
  }

 private:
  os::RangeSet held_;
  os::RangeSet kept_;  ///< what is held, and nothing leads to
};

}  // namespace morsel::image
