// Writes the tree of a new generation beside the old one's.
#pragma once

#include <vector>

#include "base/result.h"
#include "pmem/file.h"
#include "pmem/image/space.h"
#include "pmem/image/tree.h"
#include "pmem/page_set.h"
#include "pmem/touched_pages.h"

namespace morsel::pmem::image {

/// Threads  one.
class TreeWriter {
 public:
  /// `old` is the published generation, whose extents are used again where nothing has changed;
  /// what is new is stored by `codec`.
  TreeWriter(const File& file, Space& space, const Tree& old, Codec codec)
      : file_(file), space_(space), old_(old), codec_(codec) {}

  /// Writes what of `frames`, size_bytes long, is not in the old generation. `dirty`: what may
  /// differ from that; nullptr: all is compared with it. `touched`: the pages that are read, the
  /// others being zero; nullptr: all.
  /// Durability  none before a sync.
  /// Errors      kNoSpace, kIo, kNoMemory: written() is then to be given back.
  Result<Tree> Write(const char* frames, uint64_t size_bytes, const PageSet* dirty,
                     const TouchedPages* touched);

  /// What was taken from the space so far.
  const std::vector<Extent>& written() const { return written_; }

 private:
  Status WriteLeaves(const char* frames, uint64_t size_bytes, const PageSet* dirty,
                     const TouchedPages* touched, Tree& tree);
  Result<Entry> WriteTable(std::vector<Entry>& entries, const Entry& old_entry,
                           const std::vector<Entry>& old_entries);
  Status WriteExtent(const char* bytes, Entry& entry);

  const File& file_;
  Space& space_;
  const Tree& old_;
  Codec codec_;
  std::vector<Extent> written_;
};

}  // namespace morsel::pmem::image
