// What of an image's free space takes room in the file system already: where that has none left, it
// is all that can be written.
#pragma once

#include <cstdint>
#include <vector>

#include "image/format/space.h"
#include "image/format/tree.h"
#include "os/file/file.h"

namespace morsel::image {

/// How much a settle of so many pages needs, in leaves that have no holes: new sums and tables.
uint64_t SettleBytesFor(const Tree& tree, uint64_t page_count);

/// How much of what is free an image with such a tree and log keeps written. It is enough to settle
/// what the log can have into leaves that have no holes, and for a few checkpoints without a log:
/// their pages, lists and tables. It is at most `most`.
uint64_t ReserveBytesFor(const Tree& tree, uint64_t log_bytes, uint64_t most);

/// How many bytes of what is free are written, what lies behind the space's end included; if they
/// are more than `enough`, any number above it. Where the file system does not tell, it is all.
/// Cost  two system calls for each free run that is looked at.
uint64_t WrittenBytes(const os::File& file, const Space& space, uint64_t enough);

/// Claims what has to be written so that `reserve_bytes` of what is free are, in few pieces: holes,
/// and then what is behind the space's end.
/// Ownership  the caller gives them back.
std::vector<FileExtent> TakeMissing(const os::File& file, Space& space, uint64_t reserve_bytes);

/// While it lives, the space gives out what is written, and else only what is behind its end. Of
/// what is written, kept_bytes stay, in large pieces.
/// Ownership  file and space outlive it.
/// Threads    one.
class OnlyWritten {
 public:
  OnlyWritten(const os::File& file, Space& space, uint64_t kept_bytes);
  ~OnlyWritten();
  OnlyWritten(const OnlyWritten&) = delete;
  OnlyWritten& operator=(const OnlyWritten&) = delete;

 private:
  Space& space_;
  std::vector<FileExtent> held_;
};

}  // namespace morsel::image
