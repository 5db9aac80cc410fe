// Writes pages to free space, many at a time, and the list that names them: so much of a checkpoint
// as its record would not hold. Soon they are settled, so that there is one list at most.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "base/result.h"
#include "image/format/space.h"
#include "image/format/tree.h"
#include "image/format/unsettled_pages.h"
#include "image/pipeline/buffer.h"
#include "os/file/block_io.h"
#include "os/file/file.h"
#include "os/memory/page_set.h"

namespace morsel::image {

/// The memory of a subtree. Only its touched pages are read; the others are zero.
struct SubtreeMemory {
  const char* bytes;
  const os::PageSet::Pages& touched;
};

/// Writes the patches of one new generation.
/// Ownership  all that it is made with outlives it. The destructor waits for what is in flight.
/// Threads    one.
class PatchWriter {
 public:
  /// Extents are claimed from `space` and added to `written`. `generation` is the new one.
  PatchWriter(const os::File& file, Space& space, std::vector<FileExtent>& written,
              uint64_t generation)
      : file_(file), space_(space), written_(written), generation_(generation) {}
  ~PatchWriter();
  PatchWriter(const PatchWriter&) = delete;
  PatchWriter& operator=(const PatchWriter&) = delete;

  /// Replaces `pages` of the leaf at `position`, which the tree keeps from the old generation, with
  /// those of `subtree`. The pages are copied before the call returns. Returns false, and does
  /// nothing, if too many pages would be listed.
  /// Errors  kNoSpace, kIo, of these pages or earlier ones; kNoMemory; as BlockIo::Open().
  Result<bool> Replace(SubtreePosition position, const os::PageSet::Pages& pages,
                       const SubtreeMemory& subtree, const Tree& tree);

  /// Writes the pages that are left, and a list of all pages that are listed, twice and apart, if
  /// there are new ones. The tree has all its leaves already.
  /// Durability  none before a sync.
  /// Errors      as Replace().
  Status Finish(Tree& tree);

  /// Waits for what is in flight, whether it succeeds or not. Then the extents in `written` may be
  /// given back.
  void Drain();

 private:
  static constexpr size_t kBatchPages = 256;
  /// So many pages are written by plain calls.
  static constexpr size_t kFewPages = 16;
  struct Place {
    uint64_t page;
    Sum128 sum;
  };
  /// Pages that are written together. One batch is filled while the other is written.
  struct Batch {
    Buffer memory;
    std::vector<Place> places;  ///< of the pages in `memory`, in their order
    unsigned in_flight = 0;     ///< number of its writes that are not done
  };

  Status BeginBatch();
  Status BeginWriting();
  Status Add(SubtreePosition position, uint32_t page, const SubtreeMemory& subtree);
  Status Flush();
  Status Reap();
  Status WriteList(Tree& tree);

  const os::File& file_;
  Space& space_;
  std::vector<FileExtent>& written_;
  uint64_t generation_;
  std::array<Batch, 2> batches_;
  size_t filling_ = 0;    // the batch that is being filled
  UnsettledPages fresh_;  // the pages of this generation
  uint64_t fresh_count_ = 0;
  Buffer list_;  // while it is written
  std::unique_ptr<os::BlockIo> io_;
};

/// So many pages are listed at most, as they take memory. Of what a checkpoint changes beyond that,
/// leaves are written whole.
inline constexpr uint64_t kListedMax = 192 * 1024;
static_assert(kListedMax <= kPatchesMax);

}  // namespace morsel::image
