// Writes the tables of a generation that the one before does not have, each twice.
#pragma once

#include <vector>

#include "base/result.h"
#include "image/format/layout.h"
#include "image/format/space.h"
#include "image/format/tree.h"
#include "os/file/file.h"

namespace morsel::image {

/// Ownership  all that it is made with outlives it.
/// Threads    one.
class TableWriter {
 public:
  /// Extents are claimed from `space` and added to `written`.
  TableWriter(const os::File& file, Space& space, std::vector<FileExtent>& written)
      : file_(file), space_(space), written_(written) {}

  /// Writes the tables of `tree`, whose leaves are complete, and its root table, and sets their
  /// entries. A table whose entries are those of `old` stays where it is.
  /// Durability  none before a sync.
  /// Errors      kNoSpace; kIo; kNoMemory.
  Status Write(Tree& tree, const Tree& old);

 private:
  Result<Entry> WriteTable(std::vector<Entry>& entries, const Entry& old_entry,
                           const std::vector<Entry>& old_entries);
  Status WriteCopies(const char* bytes, Entry& entry);

  const os::File& file_;
  Space& space_;
  std::vector<FileExtent>& written_;
};

}  // namespace morsel::image
