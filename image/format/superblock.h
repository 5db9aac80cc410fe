// Reads and writes superblocks, and chooses the current generation of an image.
#pragma once

#include <ctime>
#include <optional>

#include "base/on_heap.h"
#include "base/overtaken.h"
#include "base/result.h"
#include "image/format/layout.h"
#include "image/format/slot_doubt.h"
#include "os/file/file.h"

namespace morsel::image {

struct ImageSuperblocks {
  OnHeap<ImageSuperblock> current;
  /// What the other slot has, if it is valid.
  std::optional<OnHeap<ImageSuperblock>> other;
  uint64_t other_offset = 0;  ///< of the other slot
  /// What to think of the other slot if it has no valid one.
  Doubt doubt = Doubt::kNone;
};

/// Reads both superblocks. The valid one of the higher number is the current one. Those of an image
/// of version 4 are translated.
/// Errors  kCorrupt (foreign, truncated or damaged: the message says which); kVersion; kIo (neither
///         can be read).
/// Cost    four reads; more if a slot that was written is not valid.
Result<ImageSuperblocks> ReadSuperblocks(const os::File& file);

/// Whether the two differ in nothing but their numbers.
bool LeadToTheSame(const ImageSuperblock& one, const ImageSuperblock& other);

/// Checks that the file still has all that the superblock `then` leads to. Another process may be
/// writing to it.
/// Errors  kOvertaken: it may have been written over since, so that what was read proves nothing;
///         kIo.
Status CheckNotOverwritten(const os::File& file, const ImageSuperblock& then);

/// The error of what was read and proves nothing, since somebody has written the file: kOvertaken.
Status IsOvertaken(const os::File& file);

/// Returns `failure`, or kOvertaken if it is kCorrupt and CheckNotOverwritten() says so: then what
/// was read is no damage.
Status OrOverwritten(const os::File& file, const ImageSuperblock& then, Status failure);

/// What an image's one writer has left in its file: the two slots, the file's length, and when it
/// was changed. Who copies another file over it, cuts it or writes it, too, changes one of them.
class LeftByWriter {
 public:
  /// Takes what is there now. `current` is the current superblock.
  /// Errors  kIo; kCorrupt: it has been cut since it was read.
  Status Take(const os::File& file, const ImageSuperblock& current);
  /// The slot of this superblock is about to be written, and may hold anything until Written().
  void Writing(const ImageSuperblock& superblock) {
    slots_[SlotIndex(superblock.sequence)].reset();
  }
  void Written(const ImageSuperblock& superblock);
  void TakeLength(const os::File& file);

  /// The writer has written to the file, with whatever it has called for that.
  /// Cost  no system call.
  void TakeTime();

  /// Checks that all is as it was left, but for what lies behind the slots. Returns whether that
  /// may have changed: the file has been, since TakeTime().
  /// Errors  kCorrupt: it is not; kIo.
  /// Cost    one read of 4 KiB.
  Result<bool> Check(const os::File& file) const;
  /// The error of a file that somebody else has written.
  static Status IsOverwritten(const os::File& file);

 private:
  size_t newest_ = 0;                 ///< the slot that was written last
  std::optional<uint64_t> slots_[2];  ///< their checksums; of what is unknown, none
  uint64_t size_bytes_ = 0;
  timespec written_until_{};
};

/// Returns whether a slot, also one of version 4, has an image's magic, whatever else is damaged.
/// Errors  kIo.
Result<bool> LooksLikeImage(const os::File& file);

/// Returns whether the file is an image of version 4, which is read and not written. Of one that
/// cannot be opened it is false.
bool IsOfVersion4(const os::File& file);

/// Checks that this library may write the image.
/// Errors  kVersion: the image has a feature that a writer must know and this library does not.
Status MayWrite(const os::File& file, const ImageSuperblock& superblock);

/// Sets the checksum and writes the superblock into the slot of its number.
/// Durability  none before a sync.
/// Errors      kNoSpace, kIo: any part may have been written.
Status WriteSuperblock(const os::File& file, const ImageSuperblock& superblock);

}  // namespace morsel::image
