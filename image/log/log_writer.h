// Writes records into a log, each with one write.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "image/format/layout.h"
#include "image/format/space.h"
#include "image/format/unsettled_pages.h"
#include "image/log/record_layout.h"
#include "image/pipeline/buffer.h"
#include "os/file/file.h"

namespace morsel::image {

/// A record that is being made: the pages are copied into it, one after the other.
/// Threads  one.
class RecordBuilder {
 public:
  /// Errors  kNoMemory.
  static Result<RecordBuilder> Make();

  /// Begins a record of at most pages_max pages.
  void Begin(uint64_t pages_max);
  bool is_full() const { return page_count_ == pages_max_; }
  uint64_t page_count() const { return page_count_; }
  /// Where the next page is to be copied to, 4096 bytes. It is not full.
  char* next() const { return pages() + page_count_ * kPageBytes; }
  /// Adds what was copied to next(), and sums it. Numbers ascend from call to call.
  void Add(uint64_t page);

 private:
  friend class LogWriter;
  explicit RecordBuilder(Buffer memory) : memory_(std::move(memory)) {}
  // Head and table end where the pages begin, so that a record is one piece.
  char* pages() const { return memory_.get() + kHeadBlocksMax * kBlockBytes; }
  RecordPage* table() const {
    return reinterpret_cast<RecordPage*>(memory_.get() + kHeadBlocksMax * kBlockBytes +
                                         kRecordPagesMax * kPageBytes);
  }

  Buffer memory_;  // head and table, pages, and the table as it grows
  uint64_t page_count_ = 0;
  uint64_t pages_max_ = 0;
};

/// The one writer of an image's log. The image says when it may be used.        [REC-1] [REC-2]
/// Ownership  has a file description of its own.
/// Threads    one.
class LogWriter {
 public:
  /// Opens the image's file once more.
  /// Errors  by errno, see FailErrno(); kNoMemory.
  static Result<LogWriter> Open(const os::File& file);

  /// Writes all blocks of the extent once, so that a record need not wait for the file system to
  /// allocate any.
  /// Durability  none before the file is synced.
  /// Errors      kNoSpace, kIo.
  Status Fill(FileExtent log);

  /// The superblock is published in both slots, and its log is empty: the next record is the first.
  void Start(const ImageSuperblock& superblock);
  /// No record may be written before the next Start().
  void Stop() { id_.reset(); }
  bool is_started() const { return id_.has_value(); }

  /// Begins a record, in whose pages the caller copies what is new. It has room for as many as fit
  /// into a quarter of the log, and into what is left of it.
  /// Ownership  the writer's, until Append().
  RecordBuilder& Begin();

  /// Whether what is left of the log holds the record that was begun.
  bool HasRoom() const;
  /// Whether an empty log would have room for a longer record than the one that was begun.
  bool is_nearly_full() const { return blocks() / kRecordsMin > begin_ + blocks() - end_; }

  /// Writes the record that was begun, for which there is room, and adds its pages to `logged`.
  /// Durability  on return. A crash before leaves the record, whole, or none.
  /// Errors      kNoSpace, kNoMemory: the next record will be in the same place. Until one is
  ///             there, a crash may find this one. Any other: nobody knows whether the disk has it.
  /// Cost        one write.
  Status Append(uint64_t generation, uint64_t live_bytes, UnsettledPages& logged);

  /// The position behind the last record.
  uint64_t end() const { return end_; }

  /// Whether the disk has the last record as it was written, if there is one.
  /// Errors  kIo.
  /// Cost    one read of 4 KiB.
  Result<bool> HasLast();

 private:
  /// The longest record takes this part of its log.
  static constexpr uint64_t kRecordsMin = 4;

  LogWriter(os::File file, RecordBuilder record)
      : file_(std::move(file)), record_(std::move(record)) {}
  uint64_t blocks() const { return log_.size_bytes / kBlockBytes; }

  os::File file_;
  RecordBuilder record_;
  std::optional<Id> id_;  // the image's, while records may be written
  FileExtent log_{};
  uint64_t begin_ = 0;        // the position of the log's first block
  uint64_t last_offset_ = 0;  // of the last record in the file; 0: there is none
  uint64_t end_ = 0;          // behind the last record
  uint64_t previous_ = 0;     // the last record's checksum
};

}  // namespace morsel::image
