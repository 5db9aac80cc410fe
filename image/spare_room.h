// What of an image's file is free and still takes room in the file system.
#pragma once

#include <cstdint>
#include <deque>

#include "image/format/space.h"
#include "os/file/file.h"

namespace morsel::image {

/// Gives room back to the file system, a little with each generation. What is free is soon taken
/// again, and a write over blocks that are there costs a disk half of a write into a hole. Giving
/// all back at once would also make a small checkpoint after a large one wait for that.
///
/// [SPR-1] The file keeps at most kept_max() bytes that are free, and what the last generations
///         have freed beyond that and Return() has not come to.
/// [SPR-2] While there is a log, at least the reserve is free and takes room (ReserveBytesFor()),
///         unless the disk was full when that became more: what the log has can be settled then
///         on a full disk, too.
///
/// Threads  one.
class SpareRoom {
 public:
  /// The extent has become free.
  void Add(FileExtent extent);

  /// The file was opened, and nothing has been written since: cuts it behind the last extent. What
  /// is free may take room. If it takes more than may be kept, all of it is given back in time.
  void Find(const os::File& file, const Space& space);

  /// Gives back some of what is free beyond kept_max(): as much again as was written, and
  /// kReturnedMin. A failure costs room in the file system and nothing else.
  void Return(const os::File& file, const Space& space, uint64_t written_bytes);

  /// Gives back what was freed, as the file system has no room. So much of what is free and takes
  /// room stays: others would take it, and what is needed to go on with would be gone.
  void ReturnAll(const os::File& file, const Space& space, uint64_t reserve_bytes);

  /// How much may stay.
  static uint64_t kept_max(const Space& space) { return space.end() / 16 + kKeptMin; }

  static constexpr uint64_t kKeptMin = kMiB;
  static constexpr uint64_t kReturnedMin = 4 * kMiB;

 private:
  void DropWaiting(FileExtent some);
  void ReturnTail(const os::File& file, const Space& space, uint64_t& left) const;

  std::deque<FileExtent> waiting_;  // some may have been taken again
  uint64_t waiting_bytes_ = 0;
};

}  // namespace morsel::image
