// Writes the tree of a new generation beside the old one's.
#pragma once

#include <cstdlib>
#include <memory>
#include <vector>

#include "base/result.h"
#include "pmem/file.h"
#include "pmem/image/space.h"
#include "pmem/image/tree.h"

namespace morsel::pmem::image {

/// A piece of memory that I/O may use directly.
/// Errors  null where there is no memory.
struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<char, FreeMemory>;
Buffer MakeBuffer(uint64_t size_bytes);

/// Threads  one.
class TreeWriter {
 public:
  /// `old` is the published generation, whose extents are used again where nothing has changed.
  TreeWriter(const File& file, Space& space, const Tree& old)
      : file_(file), space_(space), old_(old) {}

  /// Writes what of `frames`, size_bytes long, is not in the old generation.
  /// Durability  none before a sync.
  /// Errors      kNoSpace, kIo, kNoMemory: written() is then to be given back.
  Result<Tree> Write(const char* frames, uint64_t size_bytes);

  /// What was taken from the space so far.
  const std::vector<Extent>& written() const { return written_; }

 private:
  Status WriteNode(const char* frames, uint64_t size_bytes, uint64_t giant, Node& node);
  Result<Entry> WriteLeaf(const char* subtree, const Entry& old);
  Result<Entry> WriteTable(std::vector<Entry>& entries, const Entry& old_entry,
                           const std::vector<Entry>& old_entries);
  Status WriteExtent(const char* bytes, Entry& entry);

  const File& file_;
  Space& space_;
  const Tree& old_;
  Buffer bounce_;
  std::vector<Extent> written_;
};

}  // namespace morsel::pmem::image
