// What a pool, or the file of a fine morsel, keeps beside the heaps, copied into this process'
// memory: for who may only read it, and while another process may change it.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "morsel/carved/carved_pool_metadata.h"
#include "morsel/pool/pool_layout.h"
#include "os/file/file.h"
#include "pmem/persist/journal_layout.h"

namespace morsel {

/// [MDC-1] The copy says what was true at one moment: the journal's head was the same before and
///         after it was read. Whatever becomes true does so by a record of the journal, and other
///         words change only while nobody believes them: before such a record, or after it.
///
/// A journal entry that is pending is applied to the copy. What the file does not really hold,
/// since there is a hole in it, takes no memory.
/// Threads  one call at a time.
class MetadataCopy {
 public:
  /// mapped  the first metadata_bytes of a device, which cannot be read; of a file nullptr.
  /// Errors  kCorrupt, kNoMemory, kIo; kBusy: somebody changes it faster than it can be read.
  static Result<std::unique_ptr<MetadataCopy>> Take(const os::File& file,
                                                    const PoolSuperblock& superblock,
                                                    const char* mapped, const std::string& subject);
  /// Whether the copy still says what is true, which costs one read of the journal's head.
  /// Errors  kIo, kCorrupt.
  Result<bool> IsCurrent(const os::File& file, const PoolSuperblock& superblock,
                         const char* mapped) const;
  ~MetadataCopy();
  MetadataCopy(const MetadataCopy&) = delete;
  MetadataCopy& operator=(const MetadataCopy&) = delete;

  CarvedMetadata& metadata() const { return *metadata_; }

 private:
  MetadataCopy(char* bytes, uint64_t size_bytes) : bytes_(bytes), size_bytes_(size_bytes) {}

  static Status ReadHead(const os::File& file, const PoolSuperblock& superblock, const char* mapped,
                         pmem::JournalHead& head);

  pmem::JournalHead head_{};  ///< as it was when the copy was taken
  char* bytes_;
  uint64_t size_bytes_;
  std::unique_ptr<CarvedMetadata> metadata_;
};

}  // namespace morsel
