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
};

/// Writes one generation.
/// Ownership  all that it is made with outlives it.
/// Threads    one.
class TreeWriter {
 public:
  /// `old` is the published generation; its extents are used again where nothing has changed. What
  /// is new is stored as `generation`, with `codec`. compact_bytes may be spent on writing leaves
  /// that have many patches whole again; if it is negative, so much is owed and saved first.
  TreeWriter(const os::File& file, Space& space, const Tree& old, uint64_t generation, Codec codec,
             int64_t compact_bytes)
      : file_(file),
        space_(space),
        old_(old),
        generation_(generation),
        codec_(codec),
        compact_bytes_(compact_bytes),
        patches_max_(PatchesMax(old)),
        patches_(file, space, written_, generation, patches_max_) {}

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

  /// What the next generation may spend on compacting; negative if so much is owed.
  int64_t left_for_compacting() const { return compact_bytes_; }

 private:
  enum class Action { kReuse, kPatch, kCompare, kRewrite };
  Action ActionOf(SubtreePosition position, const os::PageSet* dirty) const;
  void ChooseCompacted(uint64_t leaves, uint64_t patch_count);
  void CarryOver();
  Status WriteLeaves(const Source& source, ProgressMeter& meter, Tree& tree);
  Status WriteChanged(const Source& source, ProgressMeter& meter, Tree& tree);
  Status WriteFrom(LeafSource& source, ProgressMeter& meter, Tree& tree);
  Result<Entry> WriteTable(std::vector<Entry>& entries, const Entry& old_entry,
                           const std::vector<Entry>& old_entries);
  Status WriteExtent(const char* bytes, Entry& entry);

  const os::File& file_;
  Space& space_;
  const Tree& old_;
  uint64_t generation_;
  Codec codec_;
  int64_t compact_bytes_;
  uint64_t compacted_bytes_ = 0;
  uint64_t table_bytes_ = 0;
  std::set<SubtreePosition> compacted_;  // leaves that are to be written whole again
  std::vector<FileExtent> written_;
  uint64_t patches_max_;
  PatchWriter patches_;
};

}  // namespace morsel::image
