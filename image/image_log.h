// The log of an image that is open: when there is one, and what it has.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "image/format/layout.h"
#include "image/format/unsettled_pages.h"
#include "image/log/log_reader.h"
#include "image/log/log_writer.h"
#include "os/memory/page_set.h"

namespace morsel::image {

/// Whether checkpoints may go into a log, as MORSEL_LOG says: "auto", "always", "never".
/// Errors  kInvalidArgument: it says something else.
enum class LogUse { kAuto, kAlways, kNever };
Result<LogUse> ChosenLogUse();

/// How long a log is made for an image that uses so much of its file.
uint64_t LogBytesFor(uint64_t used_bytes);

/// The log of one ImageFile.
///
/// [ILG-1] pages are what the log has beyond the current superblock's tree. end() is the position
///         behind them. A record is only written while the writer is started.
///
/// Threads  one.
class ImageLog {
 public:
  /// Takes what was read. Nothing is written behind that: the next checkpoint settles it.
  void Take(LogContents contents);

  const UnsettledPages& pages() const { return pages_; }
  UnsettledPages& pages() { return pages_; }
  LogWriter* writer() { return writer_ ? &*writer_ : nullptr; }
  bool is_started() const { return writer_ && writer_->is_started(); }
  void SetWriter(LogWriter writer) { writer_ = std::move(writer); }
  void DropWriter() { writer_.reset(); }

  /// The next checkpoint goes into the tree, and nothing into the log before that is published.
  void Stop();
  /// The tree has all that the log had.
  void Settled() { pages_.clear(); }
  /// Both slots have the superblock. If it has a log that this object made, records may follow.
  void Start(const ImageSuperblock& superblock);
  uint64_t end() const { return is_started() ? writer_->end() : end_; }

  /// The dirty pages of a checkpoint that goes into the tree: `dirty`, and the log's.
  os::PageSet WithLogged(const os::PageSet& dirty) const;

  /// A checkpoint went into the tree, and a log could have had it.
  void CountFew() { ++few_count_; }
  /// Whether it is time to make a log.
  bool IsDue(LogUse use) const {
    return use == LogUse::kAlways || (use == LogUse::kAuto && few_count_ >= few_min_);
  }
  /// No log could be made. It is tried again later.
  void PutOff();

 private:
  static constexpr uint64_t kFewMin = 3;

  UnsettledPages pages_;
  std::optional<LogWriter> writer_;
  uint64_t end_ = 0;  // of what was taken, or of the writer's records when it was stopped
  uint64_t few_count_ = 0;
  uint64_t few_min_ = kFewMin;
};

}  // namespace morsel::image
