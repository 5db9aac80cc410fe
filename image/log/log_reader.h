// Reads a log: finds its end, tells damage from it, and fetches its pages.
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "image/format/reading.h"
#include "image/format/space.h"
#include "image/format/tree.h"
#include "image/format/unsettled_pages.h"
#include "os/file/file.h"

namespace morsel::image {

/// What the records of a log say together.
struct LogContents {
  UnsettledPages pages;
  uint64_t end = 0;         ///< the position behind the last record
  uint64_t previous = 0;    ///< what the next record has as the sum of the one before
  uint64_t generation = 0;  ///< of the last record, or of the superblock if that is later
  uint64_t live_bytes = 0;
  FileExtent last{};    ///< the last record; without bytes if there is none
  bool is_cut = false;  ///< behind the last record is damage: checkpoints since are lost
};

/// What the first record has as the sum of the one before. Superblocks that lead to the same tree
/// and the same log have the same one.                                                   [REC-1]
uint64_t SumOfStart(const ImageSuperblock& superblock);

/// Reads the log that the superblock names, if it names one, and holds it against its sums. `tree`
/// is the superblock's. Without a log the contents are the superblock's own.
/// Errors  kCorrupt: a record is damaged that others follow, or says what cannot be; kIo: each goes
///         to `damaged` first, and if that returns success, the records before are the contents.
///         Then it is told which checkpoint that is, and each subtree that later records have pages
///         of. kNoMemory.
/// Cost    reads the log as far as it was written, and one record more.
Result<LogContents> ReadLog(const os::File& file, const ImageSuperblock& superblock,
                            const Tree& tree, const Damaged& damaged);

/// Returns whether a record begins at `position` of the log that the superblock names, if it does.
/// Errors  kIo, kNoMemory.
Result<bool> HasRecordAt(const os::File& file, const ImageSuperblock& superblock,
                         uint64_t position);

/// Is called with a page that was read: with its 4096 bytes, or with its failure, which LastError()
/// explains.
using UnsettledPageVisit = std::function<Status(uint64_t page, const char* bytes, Status status)>;

/// Writes the log's last record once more, if it has one: it may have been in a cache only.
/// Durability  none before a sync.
/// Errors      kIo, kNoSpace, kNoMemory.
Status RewriteLast(const os::File& file, const LogContents& contents);

/// Calls `visit` with each of the pages, in the order in which they lie. Ends with the first
/// failure that it returns. `base` is the morsel's; messages name addresses.
/// Errors  kNoMemory; what `visit` returns.
Status ReadUnsettledPages(const os::File& file, uint64_t base, const UnsettledPages& pages,
                          const UnsettledPageVisit& visit);

}  // namespace morsel::image
