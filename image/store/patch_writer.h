// Writes pages that replace pages of leaves, many at a time, and the lists that name them.
//
// A checkpoint that replaces pages writes one list. It has these pages, and takes in the lists
// before it that are short: each list that stays has at least twice as many pages that count. So
// there are few lists, and how often a page is listed again grows with the logarithm of how many
// pages there are.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "base/result.h"
#include "image/format/space.h"
#include "image/format/tree.h"
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
  /// Extents are claimed from `space` and added to `written`. `generation` is the new one. At most
  /// patches_max patches may count in it.
  PatchWriter(const os::File& file, Space& space, std::vector<FileExtent>& written,
              uint64_t generation, uint64_t patches_max)
      : file_(file),
        space_(space),
        written_(written),
        generation_(generation),
        patches_max_(patches_max) {}
  ~PatchWriter();
  PatchWriter(const PatchWriter&) = delete;
  PatchWriter& operator=(const PatchWriter&) = delete;

  /// Replaces `pages` of the leaf at `position`, which the tree keeps from the old generation, with
  /// those of `subtree`. The pages are copied before the call returns. Returns false, and does
  /// nothing, if there would be too many patches; tree.patch_count counts those of the old
  /// generation as long as their leaves are not written.
  /// Errors  kNoSpace, kIo, of these pages or earlier ones; kNoMemory; as BlockIo::Open().
  Result<bool> Replace(SubtreePosition position, const os::PageSet::Pages& pages,
                       const SubtreeMemory& subtree, Tree& tree);

  /// Writes the pages that are left, and the list, and adds them to the tree. The tree has all its
  /// leaves already.
  /// Durability  none before a sync.
  /// Errors      as Replace().
  Status Finish(Tree& tree);

  /// Waits for what is in flight, whether it succeeds or not. Then the extents in `written` may be
  /// given back.
  void Drain();

  /// How many bytes of pages were written, and how many of lists.
  uint64_t page_bytes() const { return page_bytes_; }
  uint64_t list_bytes() const { return list_bytes_; }

 private:
  static constexpr size_t kBatchPages = 256;
  /// So many pages are written by plain calls.
  static constexpr size_t kFewPages = 16;
  struct Place {
    SubtreePosition position;
    LivePatch patch;
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
  void MergeInto(Tree& tree) const;
  Status WriteList(Tree& tree);

  const os::File& file_;
  Space& space_;
  std::vector<FileExtent>& written_;
  uint64_t generation_;
  uint64_t patches_max_;
  std::array<Batch, 2> batches_;
  size_t filling_ = 0;                            // the batch that is being filled
  std::map<SubtreePosition, LeafPatches> fresh_;  // the patches of this generation
  Buffer list_;                                   // while it is written
  std::unique_ptr<os::BlockIo> io_;
  uint64_t page_bytes_ = 0;
  uint64_t list_bytes_ = 0;
};

/// Returns how many patches may count in an image that has the tree's leaves. It is five eighths of
/// their pages, so that the file stays below twice the length of the leaves; and at most 196,608,
/// as patches take memory.
uint64_t PatchesMax(const Tree& tree);

}  // namespace morsel::image
