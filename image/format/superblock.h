// Reads and writes superblocks, and chooses the current generation of an image.
#pragma once

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
  /// The superblock of the generation before the current one, if it is valid.
  std::optional<OnHeap<ImageSuperblock>> older;
  /// What the other slot has, if it is valid: `older`, or one that is older by more, as records of
  /// a log have generations, too.
  std::optional<OnHeap<ImageSuperblock>> other;
  /// What to think of the other slot if it has no valid one.
  Doubt doubt = Doubt::kNone;
};

/// What is done about a slot that cannot be read, beside one that has a valid superblock.
enum class Unreadable { kFails, kTold };

/// Reads both superblocks. The valid one of the higher generation is the current one.
/// Errors  kCorrupt (foreign, truncated or damaged: the message says which); kVersion; kIo.
/// Cost    one read; at least one more if a slot that was written is not valid.
Result<ImageSuperblocks> ReadSuperblocks(const os::File& file,
                                         Unreadable unreadable = Unreadable::kFails);

/// Checks that the file still has all that the superblock `then` leads to. Another process may be
/// writing to it.
/// Errors  kOvertaken: it may have been written over since, so that what was read proves nothing;
///         kIo.
Status CheckNotOverwritten(const os::File& file, const ImageSuperblock& then);

/// Returns `failure`, or kOvertaken if it is kCorrupt and CheckNotOverwritten() says so: then what
/// was read is no damage.
Status OrOverwritten(const os::File& file, const ImageSuperblock& then, Status failure);

/// What an image's one writer has left in its file: the two slots, and the file's length. Who
/// copies another file over it, cuts it or writes it, too, changes one of them.
class LeftByWriter {
 public:
  /// Takes what is there now.
  /// Errors  kIo; kCorrupt: it has been cut since it was read.
  Status Take(const os::File& file);
  /// The slot of the generation is about to be written, and may hold anything until Written().
  void Writing(uint64_t generation) { slots_[SlotIndexOf(generation)].reset(); }
  void Written(const ImageSuperblock& superblock);
  void TakeLength(const os::File& file);

  /// Checks that all is as it was left.
  /// Errors  kCorrupt: it is not; kIo.
  /// Cost    one read of 8 KiB.
  Status Check(const os::File& file) const;

 private:
  static size_t SlotIndexOf(uint64_t generation);

  std::optional<uint64_t> slots_[2];  ///< their checksums; of what is unknown, none
  uint64_t size_bytes_ = 0;
};

/// Returns whether one of the two slots has an image's magic, whatever else is damaged.
/// Errors  kIo.
Result<bool> LooksLikeImage(const os::File& file);

/// Checks that this library may write the image.
/// Errors  kVersion: the image has a feature that a writer must know and this library does not.
Status MayWrite(const os::File& file, const ImageSuperblock& superblock);

/// Sets the checksum and writes the superblock into the slot of its generation.
/// Durability  none before a sync.
/// Errors      kNoSpace, kIo: any part may have been written.
Status WriteSuperblock(const os::File& file, const ImageSuperblock& superblock);

}  // namespace morsel::image
