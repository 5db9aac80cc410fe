// A morsel's image in a file of its own: it is created, stored, loaded and verified here.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/on_heap.h"
#include "base/random.h"
#include "base/result.h"
#include "image/format/held_places.h"
#include "image/format/image_info.h"
#include "image/format/layout.h"
#include "image/format/reading.h"
#include "image/format/space.h"
#include "image/format/superblock.h"
#include "image/format/tree.h"
#include "image/image_log.h"
#include "image/load/leaf_reader.h"
#include "image/pipeline/progress.h"
#include "image/spare_room.h"
#include "os/file/directory.h"
#include "os/file/file.h"
#include "os/memory/page_filter.h"
#include "os/memory/page_runs.h"
#include "os/memory/page_set.h"

namespace morsel::image {

class LeafSource;
struct Source;

/// What is wrong with one of an image's superblocks, or one copy of a table, while the other is
/// whole.
struct CopyFinding {
  bool is_damage;       ///< if not, a power cut may have left it so, with nothing lost
  std::string message;  ///< as that of an error
};

/// One image that is open. Everything that changes it writes to free space first and publishes the
/// change with a superblock, so that a crash leaves the last generation or the next one. A few
/// pages go into a log instead.
///
/// [IMF-1] space_ holds exactly what is neither in the current generation or its log, nor in
///         retired_, nor in quarantined_, nor in held_.
/// [IMF-2] retired_ holds the extents that the generation before the current one has and the
///         current one has not, until the current superblock is in both slots.
/// [IMF-3] quarantined_ holds the extents of generations whose superblock could not be written, or
///         perhaps was. A slot may lead there until another superblock is in it.
///
/// Ownership  the file is closed with the object; move-only.
/// Threads    one call at a time.
class ImageFile {
 public:
  /// Makes the image `name` in the directory. Its generation 1 has `frames`, info.size_bytes long.
  /// `touched` is as in Store().
  /// Durability  on return; a crash before leaves what had the name, if anything, or the whole
  ///             image. See Directory::Publish() for what a failure leaves.
  /// Errors      kExists; kNoSpace; kPermission; kNoMemory; kIo; kInvalidArgument (MORSEL_LOG).
  static Result<ImageFile> Create(const os::Directory& directory, const std::string& name,
                                  const os::FileRights& rights, const ImageInfo& info,
                                  const char* frames, const os::PageFilter* touched = nullptr,
                                  const Progress& progress = {},
                                  os::Naming naming = os::Naming::kNew);

  /// As Create(), but from leaves that come one by one, and of generation info.generation, as what
  /// they come from. A subtree without a leaf is zero.
  /// Errors  as Create(), and those of `leaves`: nothing has the name then.
  static Result<ImageFile> CreateFrom(LeafSource& leaves, const os::Directory& directory,
                                      const std::string& name, const os::FileRights& rights,
                                      const ImageInfo& info, const Progress& progress = {},
                                      os::Naming naming = os::Naming::kNew);

  /// Opens the image in `file`: reads its superblocks and tables, but no leaves. To open it for
  /// writing, the superblock that was found is written and synced first, and then into the other
  /// slot, too, if that does not lead to the same: after a sync that failed it may have been in a
  /// cache only. If one of the superblocks is damaged, the other one counts, and info() and
  /// FindDoubts() tell. An image of version 4 is opened for reading only.
  /// Errors  kCorrupt; kVersion; kIo; kNoSpace (opening it read-only may still work); kOvertaken
  ///         (read-only); kInvalidArgument (MORSEL_LOG, for writing).
  static Result<ImageFile> Open(os::File file, bool read_only);

  /// Opens a damaged image for reading. Every table, leaf and list that is damaged is passed to
  /// `damaged` and counts as absent; so is what FindDoubts() finds.
  /// Errors  as Open(): nothing of the image can be found; what `damaged` returns.
  static Result<ImageFile> OpenIntact(os::File file, const Damaged& damaged);

  /// Returns what the newest superblock says or, if it names a log, the log's last record. Without
  /// one the tables are not read, and damage of either is not told.
  /// Errors  kCorrupt, kVersion, kIo, kOvertaken.
  static Result<ImageInfo> Peek(const os::File& file);

  /// Says of the size what the tree says, and of the rest what the log's last record does.
  ImageInfo info() const;

  /// Says what is doubtful of the superblock that the image was not opened from, and which copies
  /// of tables are damaged. Both superblocks are read again, so that nothing is told of one that
  /// another process was writing.
  std::vector<CopyFinding> FindDoubts() const;

  const os::File& file() const { return file_; }
  /// The superblock and the tree of the current generation.
  const ImageSuperblock& superblock() const { return *current_; }
  const Tree& tree() const { return tree_; }
  /// The pages that lie elsewhere than in their leaves: those of the log, and those that are
  /// listed.
  UnsettledPages unsettled() const;
  /// The position behind the log's last record, as far as it is known here.
  uint64_t log_end() const { return log_.end(); }

  /// Sets the function that is called from now on while this image is stored, loaded, verified or
  /// copied. It is called on the thread of that call.
  void set_progress(Progress progress) { progress_ = std::move(progress); }
  const Progress& progress() const { return progress_; }

  /// Whether OpenIntact() has met damage of the log, so that any of the memory may be older than
  /// the last checkpoint.
  bool is_cut() const { return is_cut_; }

  /// Returns how many bytes of `frames` Load() fills, in whole subtrees.
  uint64_t LoadedBytes() const;

  /// Fills `frames`, which is info().size_bytes of zeroed memory.
  /// Errors  kCorrupt, naming the subtree, its address range and the offset; kIo; kNoMemory; as
  ///         BlockIo::Open(). The frames are then filled in part.
  Status Load(char* frames) const { return LoadBeside({}, frames); }

  /// Returns the parts that lie in the file as they are in memory, but for the pages that lie
  /// elsewhere, in the order of their offsets. In an image of version 4 there are none.
  std::vector<os::FileRun> RawRuns() const;

  /// As Load(), where `mapped`, some of RawRuns(), are private mappings of the file already. What
  /// they show is not looked at; only pages that lie elsewhere are stored there.
  Status LoadBeside(const std::vector<os::FileRun>& mapped, char* frames) const;

  /// As Load(), but goes on where something is damaged. Each subtree that is damaged is passed to
  /// `damaged`, and is zero in `frames`.
  /// Errors  kNoMemory; as BlockIo::Open(); what `damaged` returns.
  Status LoadIntact(char* frames, const Damaged& damaged) const;

  /// Reads all that is stored, or with kLoadable all that Load() reads. `report` is called with a
  /// message for each subtree that is damaged or cannot be read.
  /// Errors  kNoMemory; as BlockIo::Open().
  Status Verify(const std::function<void(const char* message)>& report,
                Verified what = Verified::kAll) const;

  /// Writes `frames`, size_bytes long, as the next generation. Of a subtree that has not changed
  /// nothing is written, and of one that has changed a little only the changed pages, which are
  /// settled later. If nothing has changed at all, there is no next generation and nothing is
  /// written. The image was not opened read-only.
  ///
  /// `dirty` has the pages that may differ from the last generation that was stored, or loaded and
  /// not changed since. If it is nullptr, all pages are compared with that generation. `touched`
  /// says which pages of `frames` are read at all; the others are zero. If it is nullptr, all are.
  /// `copied` is as in Source.
  /// Durability  on return. A crash before leaves the last generation or this one, whole.
  /// Units       size_bytes: a multiple of 2 MiB, at most the capacity.
  /// Errors      kNoSpace, kIo, kNoMemory, as BlockIo::Open(): the last generation stands. But if
  ///             the superblock could not be written or synced, a crash or the next Open() may find
  ///             this one, whole. A sync that fails is kIo, whatever its reason, and so is every
  ///             later Store(): nothing can be promised until the image is opened again. kCorrupt:
  ///             somebody else has written the file, and nothing is written to it.
  /// Cost        3 fdatasyncs; none if nothing has changed. Where few pages
  ///             have changed and there is a log with room for them, one write that is synced; the
  ///             checkpoint that makes the log, that which finds it full, and one of much pay 3
  ///             fdatasyncs more.
  Status Store(const char* frames, uint64_t size_bytes, uint64_t live_bytes,
               const os::PageSet* dirty = nullptr, const os::PageFilter* touched = nullptr,
               const std::function<void()>* copied = nullptr);

  /// Puts what the log has into the leaves, and gives the log up. If there is none, nothing is
  /// done. `frames` has not changed since the last Store() or Load(), which has succeeded.
  /// Durability, errors  as Store(): the last checkpoint stands in any case.
  Status Settle(const char* frames, const os::PageFilter* touched = nullptr);

 private:
  /// What the medium has failed to write.
  struct BadPlaces {
    std::set<SubtreePosition> moved;  ///< leaves that the next checkpoint of much writes elsewhere
    std::set<uint64_t> offsets;       ///< of places that nothing is written to any more
  };
  struct WrittenTree {
    Tree tree;
    std::vector<FileExtent> extents;
  };

  ImageFile(os::File file, OnHeap<ImageSuperblock> current)
      : file_(std::move(file)), current_(std::move(current)) {}

  static Result<ImageFile> Make(const os::Directory& directory, const std::string& name,
                                const os::FileRights& rights, OnHeap<ImageSuperblock> superblock,
                                const Source& source, uint64_t live_bytes, const Progress& progress,
                                os::Naming naming);
  Status Store(const Source& source, uint64_t live_bytes);
  Status StoreNext(Source source, uint64_t live_bytes, bool keeps_log);
  Status StoreInTree(const Source& source, uint64_t live_bytes);
  Status StoreInEmptyLog(const Source& source, uint64_t live_bytes);
  enum class InLog { kStored, kIsFull, kNotForLog };
  Result<InLog> StoreInLog(const Source& source, uint64_t live_bytes);
  Status SettleAll(bool keeps_log);
  Result<WrittenTree> WriteSettled();
  Result<WrittenTree> WriteNext(const Source& source, uint64_t generation, ProgressMeter& meter);
  uint64_t ReserveBytes(uint64_t log_bytes) const;
  void KeepReserve();
  void LeavePlace(SubtreePosition position);
  Result<bool> HasLogFor(const Source& source);
  Status MakeLog();
  void TakeRead(Tree tree, const LogContents& log);
  Status CheckMayGoOn() const;
  Status CheckIsOwn();
  Status TakeSpace(const ImageSuperblocks& found, const LogContents& log);
  Status MakeFoundDurable(const ImageSuperblocks& found, const LogContents& log);
  void FindDoubtOfSlot(std::vector<CopyFinding>& found) const;
  std::vector<FileExtent> Extents() const;
  Status Publish(const ImageSuperblock& next, const std::vector<FileExtent>& written);
  Status PublishSynced(const ImageSuperblock& next, const std::vector<FileExtent>& written);
  Status PublishTwin();
  Status FinishPublishing();
  void Accept(OnHeap<ImageSuperblock> next, Tree tree);
  void AcceptSameTree(OnHeap<ImageSuperblock> next);
  Status Poison(Status status, const char* tried, int error);
  Status Poisoned() const;
  void GiveBack(const std::vector<FileExtent>& extents);

  os::File file_;
  Progress progress_;
  OnHeap<ImageSuperblock> current_;
  uint64_t generation_ = 0;  // of the last record, or of current_ if that is later
  uint64_t live_bytes_ = 0;  // likewise
  Tree tree_;
  ImageLog log_;
  LogUse log_use_ = LogUse::kNever;  // as it was when the image was opened
  Space space_;
  HeldPlaces held_;
  SpareRoom spare_;
  std::vector<FileExtent> retired_;
  std::vector<FileExtent> quarantined_;
  LeftByWriter left_;
  std::unique_ptr<BadPlaces> bad_;  // nothing until there are any
  Doubt doubt_ = Doubt::kNone;      // when it was opened
  bool may_find_another_ = true;    // a crash may find another generation than the current one
  bool is_in_both_ = false;         // both slots lead to the current tree and log, durably
  bool is_new_ = false;             // it has no name yet
  bool read_only_ = false;
  bool is_cut_ = false;
  bool poisoned_ = false;
};

}  // namespace morsel::image
