// Writes the tree of a new generation, beside that of the old one.
#pragma once

#include <functional>
#include <set>
#include <vector>

#include "base/result.h"
#include "image/format/space.h"
#include "image/format/tree.h"
#include "image/pipeline/progress.h"
#include "image/store/leaf_source.h"
#include "image/store/patch_writer.h"
#include "os/file/file.h"
#include "os/memory/page_filter.h"
#include "os/memory/page_set.h"

namespace morsel::image {

/// A leaf that has more dirty pages is compared as a whole.
inline constexpr size_t kDirtyMax = kPagesPerLeaf / 2;

/// What a generation is stored from.
struct Source {
  const char* frames;
  uint64_t size_bytes;            ///< of the morsel
  const os::PageSet* dirty;       ///< pages that may differ from the old generation; nullptr: all
  const os::PageFilter* touched;  ///< pages that are read, the others being zero; nullptr: all
  /// Called at most once: the memory is not read any more, and may change. Nothing: it may not
  /// before the call that has the source returns.
  const std::function<void()>* copied = nullptr;
  LeafSource* leaves = nullptr;  ///< replaces `frames` for an image that has no generation yet
  /// Leaves that are written whole, elsewhere, whether they have changed or not; nullptr: none.
  const std::set<SubtreePosition>* moved = nullptr;
};

/// Writes one generation.
/// Ownership  all that it is made with outlives it.
/// Threads    one.
class TreeWriter {
 public:
  /// `old` is the published generation; its extents are used again where nothing has changed. What
  /// is new is stored as `generation`, with `codec`.
  TreeWriter(const os::File& file, Space& space, const Tree& old, uint64_t generation, Codec codec)
      : file_(file),
        space_(space),
        old_(old),
        generation_(generation),
        codec_(codec),
        patches_(file, space, written_, generation) {}

  /// Writes what the source has and the old generation has not, and returns the new tree. When it
  /// returns, nothing is in flight any more.
  /// Durability  none before a sync.
  /// Errors      kNoSpace; kIo; kNoMemory; as BlockIo::Open(); those of source.leaves. The caller
  ///             then gives written() back to the space.
  Result<Tree> Write(const Source& source, ProgressMeter& meter);
  /// Returns how many bytes Write() reports to its meter, at most.
  static uint64_t BytesToLookAt(const Source& source);

  /// The extents that were taken from the space so far.
  const std::vector<FileExtent>& written() const { return written_; }

 private:
  enum class Action { kReuse, kPatch, kCompare, kRewrite };
  Action ActionOf(SubtreePosition position, const Source& source) const;
  Status WriteLeaves(const Source& source, ProgressMeter& meter, Tree& tree);
  Status WriteChanged(const Source& source, ProgressMeter& meter, Tree& tree);
  Status WriteFrom(LeafSource& source, ProgressMeter& meter, Tree& tree);

  const os::File& file_;
  Space& space_;
  const Tree& old_;
  uint64_t generation_;
  Codec codec_;
  std::vector<FileExtent> written_;
  PatchWriter patches_;
};

}  // namespace morsel::image
