// A morsel's image in a file of its own: stored, loaded, verified.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "image/format/image_info.h"
#include "image/format/layout.h"
#include "image/format/reading.h"
#include "image/format/space.h"
#include "image/format/tree.h"
#include "image/load/leaf_reader.h"
#include "image/pipeline/progress.h"
#include "os/file/directory.h"
#include "os/file/file.h"
#include "os/memory/page_filter.h"
#include "os/memory/page_set.h"

namespace morsel::pmem::image {

class LeafSource;
struct Source;

/// [IMF-1] space_ holds exactly what is neither in the current generation, nor in retired_, nor in
///         quarantined_.
/// [IMF-2] retired_ is what the generation before the current one has and the current one has not:
///         its superblock still leads there.
/// [IMF-3] quarantined_ is what generations have whose superblock could not be written, or perhaps
///         was, and what an older one may have whose tables could not be read: the slot may lead
///         there until another superblock is in it.
/// Threads  one call at a time.
class ImageFile {
 public:
  /// Makes the image `name` in the directory: generation 1 is `frames`, info.size_bytes long.
  /// `path` is what sentences call it. `touched` as of Store().
  /// Durability  on return; a crash before leaves nothing of that name, or the whole image; a
  ///             failure as Directory::Publish().
  /// Errors      kExists; kNoSpace; kPermission; kNoMemory; kIo.
  static Result<ImageFile> Create(const Directory& directory, const std::string& name, mode_t mode,
                                  const ImageInfo& info, const char* frames,
                                  const PageFilter* touched = nullptr,
                                  const Progress& progress = {});

  /// As Create(), of leaves that come one by one: what has none is zero.
  /// Errors  as Create(), and those of `leaves`: nothing has the name then.
  static Result<ImageFile> CreateFrom(LeafSource& leaves, const Directory& directory,
                                      const std::string& name, mode_t mode, const ImageInfo& info,
                                      const Progress& progress = {});

  /// Takes an open file and reads its tables. For writing, the superblock that was found is made
  /// durable first: after a sync that failed it may have been in a cache only.
  /// Errors  kCorrupt; kVersion; kIo; kNoSpace (opened read-only it may still work).
  static Result<ImageFile> Open(File file, bool read_only);

  /// Takes what is intact of a damaged image, for reading. What is not is told, and counts as
  /// absent.
  /// Errors  as Open(): nothing of it can be found.
  static Result<ImageFile> OpenIntact(File file, const Damaged& damaged);

  /// What the newest superblock says; the tables are not read.
  /// Errors  kCorrupt, kVersion, kIo.
  static Result<ImageInfo> Peek(const File& file);

  ImageInfo info() const;
  const File& file() const { return file_; }
  /// Of the current generation.
  const ImageSuperblock& superblock() const { return current_; }
  const Tree& tree() const { return tree_; }

  /// Is called from now on by whoever stores, loads, verifies and copies.
  void set_progress(Progress progress) { progress_ = std::move(progress); }
  const Progress& progress() const { return progress_; }

  /// What Load() fills, in whole subtrees.
  uint64_t LoadedBytes() const;

  /// Fills `frames`, info().size_bytes of zeroed memory.
  /// Errors  kCorrupt, naming the subtree, its address range and the offset; kIo. The frames are
  ///         then filled in part.
  Status Load(char* frames) const;

  /// As Load(), but subtrees that are damaged are told, and zero.
  /// Errors  kNoMemory; what `damaged` answers.
  Status LoadIntact(char* frames, const Damaged& damaged) const;

  /// Reads all leaves and reports each that is damaged or cannot be read, in a sentence.
  /// Errors  kNoMemory.
  Status Verify(const std::function<void(const char* message)>& report,
                Verified what = Verified::kAll) const;

  /// Writes `frames`, size_bytes long (a multiple of 2 MiB, at most the capacity), as the next
  /// generation. Subtrees that are as they were are not written again, and of those that changed a
  /// little the changed pages only. `dirty`: the pages that may differ from the last generation
  /// that was stored, or loaded and not changed since; nullptr: all are compared with it.
  /// `touched`: what is read of `frames` at all, the rest being zero; nullptr: all. Not after
  /// opening read-only.
  /// Durability  on return. A crash before leaves the last generation or this one, whole.
  /// Errors      kNoSpace, kIo, kNoMemory: the last generation stands; where the superblock could
  ///             not be written or synced, a crash or the next Open() may find this one, whole.
  ///             A sync that fails is kIo, whatever its reason, and so is every later Store():
  ///             nothing can be promised until the image is opened again.
  /// Cost        2 fdatasyncs.
  Status Store(const char* frames, uint64_t size_bytes, uint64_t live_bytes,
               const PageSet* dirty = nullptr, const PageFilter* touched = nullptr);

 private:
  ImageFile(File file, const ImageSuperblock& current)
      : file_(std::move(file)), current_(current) {}

  static Result<ImageFile> Make(const Directory& directory, const std::string& name, mode_t mode,
                                const ImageInfo& info, const Source& source,
                                const Progress& progress);
  Status Store(const Source& source, uint64_t live_bytes);
  Status TakeSpace(const std::optional<ImageSuperblock>& older);
  Status TakeAll(const std::vector<FileExtent>& used);
  Status Publish(const ImageSuperblock& next, const std::vector<FileExtent>& written);
  void Accept(const ImageSuperblock& next, Tree tree);
  Status Poison(Status status, int error);
  Status Poisoned() const;
  void GiveBack(const std::vector<FileExtent>& extents);
  void ReturnToFileSystem(FileExtent free_run) const;
  void TrimTail() const;

  File file_;
  Progress progress_;
  ImageSuperblock current_;
  Tree tree_;
  Space space_;
  std::vector<FileExtent> retired_;
  std::vector<FileExtent> quarantined_;
  int64_t compact_bytes_ = 0;  // what the next checkpoint may spend on compacting
  bool read_only_ = false;
  bool poisoned_ = false;
};

}  // namespace morsel::pmem::image
