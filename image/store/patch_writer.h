// Writes pages that replace those of leaves, many at a time, and the lists of them.
//
// Each checkpoint writes a list of its own pages only. Lists are merged so that each is more than
// twice as long as the next one was when it was written: a page is then listed again a number of
// times that grows with the logarithm of how many there are, and there are few lists.
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

namespace morsel::pmem::image {

/// A subtree's memory, of which only what was touched is read; the rest is zero.
struct SubtreeMemory {
  const char* bytes;
  const PageSet::Pages& touched;
};

/// Ownership  the destructor waits for what is in flight.
/// Threads    one.
class PatchWriter {
 public:
  /// Extents are claimed from `space` and remembered in `written`. `generation` is the new one, of
  /// whose patches at most patches_max count.
  PatchWriter(const File& file, Space& space, std::vector<FileExtent>& written, uint64_t generation,
              uint64_t patches_max)
      : file_(file),
        space_(space),
        written_(written),
        generation_(generation),
        patches_max_(patches_max) {}
  ~PatchWriter();
  PatchWriter(const PatchWriter&) = delete;
  PatchWriter& operator=(const PatchWriter&) = delete;

  /// Replaces `pages` of a leaf that is kept of the old generation by those of `subtree`. False,
  /// and nothing is done, where there would be too many patches. tree.patch_count is as if all
  /// leaves that are not written yet were kept.
  /// Errors  kNoSpace, kIo, of these pages or earlier ones; kNoMemory.
  Result<bool> Replace(SubtreePosition position, const PageSet::Pages& pages,
                       const SubtreeMemory& subtree, Tree& tree);

  /// Writes what is left, and the list. `tree` has all its leaves.
  /// Durability  none before a sync.
  /// Errors      as Replace().
  Status Finish(Tree& tree);

  /// Waits for what is in flight, whatever becomes of it: what was written may be given back.
  void Drain();

  /// What was written: of pages, and of lists.
  uint64_t page_bytes() const { return page_bytes_; }
  uint64_t list_bytes() const { return list_bytes_; }

 private:
  static constexpr size_t kBatchPages = 256;
  struct Place {
    SubtreePosition position;
    LivePatch patch;
  };
  struct Batch {
    Buffer memory;
    std::vector<Place> places;  ///< of its pages, in order
    unsigned in_flight = 0;
  };

  Status Begin();
  Status Add(SubtreePosition position, uint32_t page, const SubtreeMemory& subtree);
  Status Flush();
  Status Reap();
  void MergeInto(Tree& tree) const;
  Status WriteList(Tree& tree);

  const File& file_;
  Space& space_;
  std::vector<FileExtent>& written_;
  uint64_t generation_;
  uint64_t patches_max_;
  std::array<Batch, 2> batches_;
  size_t filling_ = 0;
  std::map<SubtreePosition, LeafPatches> fresh_;
  Buffer list_;
  std::unique_ptr<BlockIo> io_;
  uint64_t page_bytes_ = 0;
  uint64_t list_bytes_ = 0;
};

/// How many patches may count in an image of the tree's leaves: five eighths of their pages, so
/// that its file stays below twice as long, and no more than 196,608, for they take memory.
uint64_t PatchesMax(const Tree& tree);

}  // namespace morsel::pmem::image
