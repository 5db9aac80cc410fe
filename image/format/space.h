// Which bytes of an image's file are free. Volatile: rebuilt from the trees at each open.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "image/format/layout.h"

namespace morsel::image {

/// A range of the file: the bytes of an entry, a list or a page, padding included.
struct FileExtent {
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  uint64_t end() const { return offset + size_bytes; }
  friend auto operator<=>(const FileExtent&, const FileExtent&) = default;
};

/// The extents of the table that `entry` leads to: one for each copy. The entry is present.
std::vector<FileExtent> TableExtentsOf(const Entry& entry);
/// The extent of a leaf that is present: its bytes, without its page sums and its patches.
FileExtent LeafExtentOf(const Entry& leaf);
/// The extent of its page sums.
FileExtent SumsExtentOf(const Entry& leaf);

/// The extent of a list's patches; the pages themselves lie elsewhere.
FileExtent ListExtentOf(const PatchList& list);

/// The extent of the log that the superblock names, if it names one.
std::optional<FileExtent> LogExtentOf(const ImageSuperblock& superblock);

/// A free run shorter than this is a fragment: it is not worth a hole in the file, and hardly worth
/// a write of its own.
inline constexpr uint64_t kFragmentBytes = 64 * kKiB;

/// Gives out the free runs of a file and takes extents back. The slots of superblocks are never
/// free.
///
/// [SPC-1] Free runs touch neither each other nor end().
///
/// Threads  one.
class Space {
 public:
  /// All is free but `used`, which is sorted and whose extents may overlap.
  explicit Space(const std::vector<FileExtent>& used = {});

  /// Claims size_bytes, a multiple of 4096, and returns their offset. They come from the smallest
  /// free run that holds them or, if there is none, from end().
  uint64_t Take(uint64_t size_bytes);

  /// As Take(), in another part of the file of kApartBytes than `offset` lies in. While the disk is
  /// full it may be the same one, if there is room in no other.
  uint64_t TakeApart(uint64_t size_bytes, uint64_t offset);

  /// Whether nothing can be written behind end().
  void SetFull(bool is_full) { is_full_ = is_full; }

  /// As Take(), of the 2 MiB of a leaf, at a multiple of 2 MiB.
  uint64_t TakePlace();

  /// Claims size_bytes, a multiple of 4096, behind all that is in use, and returns their offset.
  uint64_t TakeBehind(uint64_t size_bytes) { return TakeFromEnd(end_, size_bytes); }

  /// Claims size_bytes, a multiple of 4096, or a part of them, from the largest free run, and
  /// returns them. It is empty if there is none.
  FileExtent TakeOfLargest(uint64_t size_bytes);

  /// Claims an extent that is free, and part of one free run.
  void Claim(FileExtent extent);

  /// Claims size_bytes, a multiple of 4096, or a part of them, and returns them as one extent. It
  /// comes from the smallest free run of at least kFragmentBytes, so that larger runs stay for what
  /// needs them; if there is none, all of it comes from end(). Fragments are used, smallest first,
  /// only while they are more than fragments_max bytes together, for each costs a write of its own.
  FileExtent TakeSome(uint64_t size_bytes, uint64_t fragments_max);

  /// Gives back what was taken, or a part of it. Aborts if any of it is free already.
  void Give(FileExtent extent);

  /// Nothing is in use from here on.
  uint64_t end() const { return end_; }
  /// The free runs below end(), by offset.
  const std::map<uint64_t, uint64_t>& free_runs() const { return free_; }

 private:
  void Insert(uint64_t begin, uint64_t end);
  bool TakeAt(std::set<std::pair<uint64_t, uint64_t>>::iterator run, uint64_t begin,
              uint64_t size_bytes);
  uint64_t TakeFromEnd(uint64_t begin, uint64_t size_bytes);
  void Erase(std::map<uint64_t, uint64_t>::iterator run);
  FileExtent TakeFrom(std::set<std::pair<uint64_t, uint64_t>>::iterator run, uint64_t size_bytes);

  std::map<uint64_t, uint64_t> free_;                // offset -> end
  std::set<std::pair<uint64_t, uint64_t>> by_size_;  // the same runs: size, offset
  uint64_t end_ = kExtentsStart;                     // at least kFileBytesMin
  uint64_t fragment_bytes_ = 0;                      // in free runs shorter than kFragmentBytes
  bool is_full_ = false;
};

}  // namespace morsel::image
