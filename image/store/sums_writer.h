// Writes the page sums of leaves, many with one write.
#pragma once

#include <vector>

#include "base/result.h"
#include "image/format/layout.h"
#include "image/format/space.h"
#include "image/pipeline/buffer.h"
#include "os/file/file.h"

namespace morsel::image {

/// Sums go to free space, where those that follow each other mostly lie side by side.
/// Ownership  all that it is made with outlives it.
/// Threads    one.
class SumsWriter {
 public:
  /// Extents are claimed from `space` and added to `written`.
  SumsWriter(const os::File& file, Space& space, std::vector<FileExtent>& written)
      : file_(file), space_(space), written_(written) {}

  /// Copies the sums, and returns the offset at which they will be.
  /// Errors  kNoMemory; kNoSpace, kIo, of earlier ones.
  Result<uint64_t> Add(const PageSums& sums);

  /// Writes what was added.
  /// Durability  none before a sync.
  /// Errors      kNoSpace, kIo.
  Status Flush();

 private:
  static constexpr size_t kBatch = 32;

  const os::File& file_;
  Space& space_;
  std::vector<FileExtent>& written_;
  Buffer memory_;
  std::vector<uint64_t> offsets_;  // of the sums in memory_, in their order
};

}  // namespace morsel::image
