// Puts pages that lie elsewhere, in the log or by a list, into their leaves.
#pragma once

#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "image/format/held_places.h"
#include "image/format/space.h"
#include "image/format/tree.h"
#include "image/format/unsettled_pages.h"
#include "image/load/leaf_reader.h"
#include "image/pipeline/buffer.h"
#include "image/store/sums_writer.h"
#include "os/file/block_io.h"
#include "os/file/file.h"

namespace morsel::image {

/// Settles all pages of one state of an image. Raw leaves get them in their places; what is
/// compressed is stored raw, elsewhere, and so is what a reader has mapped. An object serves one
/// Run().
///
/// [STL-1] Both superblocks lead to the pages, which are durable. So whatever is in the places of
///         leaves counts for nothing until a superblock leads to the new sums.
/// [STL-2] A page comes from where it is durable, never from memory that a program may store to.
///
/// Ownership  all that it is made with outlives it.
/// Threads    one.
class Settler {
 public:
  /// `old` is the published tree; `base` is the morsel's. Extents are claimed from `space`.
  Settler(const os::File& file, uint64_t base, Space& space, const HeldPlaces& held,
          const Tree& old, const UnsettledPages& pages)
      : file_(file),
        base_(base),
        space_(space),
        held_(held),
        old_(old),
        pages_(pages),
        sums_(file, space, written_),
        reader_(file, base, pages) {}

  /// Returns the tree in which all pages are in their places, and none is listed. When it returns,
  /// nothing is in flight any more.
  /// Durability  none before a sync.
  /// Errors      kCorrupt, kIo: a page, or a leaf that is compressed, cannot be read; kIo,
  ///             kNoSpace: it cannot be written; kNoMemory; as BlockIo::Open(). The old tree
  ///             stands, and the caller gives written() back to the space.
  Result<Tree> Run();

  /// The extents that were taken from the space so far.
  const std::vector<FileExtent>& written() const { return written_; }
  /// Leaves that the medium has failed to write.
  const std::set<SubtreePosition>& failed() const { return failed_; }

 private:
  /// So many pages are read, and then written, at a time: those of two leaves at least.
  static constexpr size_t kBatchPages = 4 * kPagesPerLeaf;
  /// Pages of one leaf that are in memory, in their order.
  struct Batch {
    SubtreePosition position;
    std::span<const UnsettledPages::value_type* const> pages;
    const char* bytes;
  };

  Status Begin();
  Status SettleAll(Tree& tree);
  Status ReadPages(std::span<const UnsettledPages::value_type* const> pages);
  Status SettleLeaf(const Batch& batch, Tree& tree);
  Status WriteInPlace(const Batch& batch, const Entry& leaf);
  Status Replace(const Batch& batch, Entry& leaf);
  Status ReadSums(const Entry& leaf, PageSums& sums);
  Status Write(const char* bytes, uint64_t size_bytes, uint64_t offset, SubtreePosition position);
  Status Reap();
  Status Drain();

  const os::File& file_;
  uint64_t base_;
  Space& space_;
  const HeldPlaces& held_;
  const Tree& old_;
  const UnsettledPages& pages_;
  std::vector<FileExtent> written_;
  std::set<SubtreePosition> failed_;
  SumsWriter sums_;
  LeafReader reader_;  // of leaves that are stored elsewhere
  bool reads_leaves_ = false;
  Buffer memory_;  // outlives the requests
  Buffer leaf_;    // one that is stored elsewhere, or whose sums are damaged
  std::unique_ptr<os::BlockIo> io_;
  /// From here on the file had no bytes before the first write: what is not written is zero.
  uint64_t fresh_from_ = 0;
};

}  // namespace morsel::image
