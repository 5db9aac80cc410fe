// Which bytes of an image's file are free. Volatile: made from the trees at open.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "image/format/layout.h"

namespace morsel::pmem::image {

/// Where an entry's bytes are, padding included.
struct FileExtent {
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  uint64_t end() const { return offset + size_bytes; }
  friend auto operator<=>(const FileExtent&, const FileExtent&) = default;
};

/// What a table's `entry`, which is present, takes of the file.
FileExtent TableExtentOf(const Entry& entry);
/// What the bytes and sums of a leaf that is present take; not what replaces its pages.
FileExtent LeafExtentOf(const Entry& leaf);

/// What the bytes of a list take.
FileExtent ListExtentOf(const PatchList& list);

/// A free run shorter than this is worth no hole in the file, and no write of its own.
inline constexpr uint64_t kFragmentBytes = 64 * kKiB;

/// [SPC-1] Free runs do not touch each other, nor the end.
/// Threads  one.
class Space {
 public:
  /// All that is not in `used`, which is sorted; what meets there counts once.
  explicit Space(const std::vector<FileExtent>& used = {});

  /// Claims size_bytes, a multiple of 4096: the smallest free run that holds them, else the end.
  uint64_t Take(uint64_t size_bytes);

  /// Claims some of size_bytes, a multiple of 4096, in one run: all, or what the smallest free run
  /// of kFragmentBytes or more has, so that larger ones are there for what needs them. Even smaller
  /// ones are taken only while there are more of them than fragments_max bytes: each is a write of
  /// its own.
  FileExtent TakeSome(uint64_t size_bytes, uint64_t fragments_max);

  /// Gives back what was taken, or a part of it.
  void Give(FileExtent extent);

  /// Nothing is in use from here on.
  uint64_t end() const { return end_; }
  /// The free runs below end(), by offset.
  const std::map<uint64_t, uint64_t>& free_runs() const { return free_; }

 private:
  void Insert(uint64_t begin, uint64_t end);
  void Erase(std::map<uint64_t, uint64_t>::iterator run);
  FileExtent TakeFrom(std::set<std::pair<uint64_t, uint64_t>>::iterator run, uint64_t size_bytes);

  std::map<uint64_t, uint64_t> free_;                // offset -> end
  std::set<std::pair<uint64_t, uint64_t>> by_size_;  // the same: size, offset
  uint64_t end_ = kExtentsStart;
  uint64_t fragment_bytes_ = 0;  // in free runs shorter than kFragmentBytes
};

}  // namespace morsel::pmem::image
