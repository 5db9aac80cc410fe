// Storing into an image that is open: into its tree, or a few pages into its log.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/error.h"
#include "image/image_file.h"
#include "image/store/few_pages.h"
#include "image/store/tree_writer.h"

namespace morsel::image {
namespace {

/// A checkpoint that has written no more would have fitted into a log.
constexpr uint64_t kFewBytesMax = 64 * kPageBytes;

uint64_t BytesOf(const std::vector<FileExtent>& extents) {
  uint64_t bytes = 0;
  for (const FileExtent& extent : extents) bytes += extent.size_bytes;
  return bytes;
}

// The next record of a log that was not made yet is written by the one that is.
void NameLog(ImageSuperblock& superblock, FileExtent log) {
  superblock.read_features |= kFeatureLog;
  superblock.log_offset = log.offset;
  superblock.log_bytes = log.size_bytes;
}

void NameNoLog(ImageSuperblock& superblock) {
  superblock.read_features &= ~kFeatureLog;
  superblock.log_offset = 0;
  superblock.log_bytes = 0;
}

}  // namespace

Status ImageFile::Store(const char* frames, uint64_t size_bytes, uint64_t live_bytes,
                        const os::PageSet* dirty, const os::PageFilter* touched,
                        const std::function<void()>* copied) {
  return Store({frames, size_bytes, dirty, touched, copied}, live_bytes);
}

Status ImageFile::Store(const Source& source, uint64_t live_bytes) {
  MORSEL_CHECK(!read_only_);
  if (poisoned_) return Poisoned();
  // Before a byte is written: what is free is free in this writer's file only.             [IMF-1]
  if (current_->generation != 0) MORSEL_TRY(left_.Check(file_));
  live_bytes = std::min(live_bytes, source.size_bytes);
  const Result<bool> is_logged = StoreInLog(source, live_bytes);
  if (!is_logged || *is_logged) return is_logged.status();
  const Status stored = StoreNext(source, live_bytes, true);
  left_.TakeLength(file_);
  return stored;
}

Status ImageFile::Settle(const char* frames, const os::PageFilter* touched) {
  MORSEL_CHECK(!read_only_);
  if (!HasLog(*current_)) return Code::kOk;
  if (poisoned_) return Poisoned();
  MORSEL_TRY(left_.Check(file_));
  const os::PageSet nothing;
  const Status stored =
      StoreNext({frames, current_->size_bytes, &nothing, touched}, live_bytes_, false);
  left_.TakeLength(file_);
  return stored;
}

// Whether the image has a log for a checkpoint of this source, as far as can be told before its
// pages are looked at. If it is time, one is made.
Result<bool> ImageFile::HasLogFor(const Source& source) {
  const bool may_be = current_->generation != 0 && source.dirty != nullptr &&
                      source.size_bytes == current_->size_bytes && CarriedName(*current_).empty();
  if (!may_be) return false;
  if (HasLog(*current_)) return log_.is_started();
  if (!log_.IsDue(log_use_)) return false;
  const KeepLastError keep;
  const Status made = MakeLog();
  left_.TakeLength(file_);
  if (!made.ok()) log_.PutOff();
  return made.ok() && log_.is_started();
}

// Returns false if the checkpoint is not for the log: it goes into the tree.
Result<bool> ImageFile::StoreInLog(const Source& source, uint64_t live_bytes) {
  const Result<bool> has_log = HasLogFor(source);
  if (poisoned_) return Poisoned();
  if (!has_log || !*has_log) return has_log;
  RecordBuilder& record = log_.writer()->Begin();
  if (!CopyFewPages(source, {file_, tree_, log_.pages()}, record)) return false;
  ProgressMeter meter(progress_, Activity::kStoring, TreeWriter::BytesToLookAt(source));
  const bool is_same = record.page_count() == 0 && live_bytes == live_bytes_;
  if (is_same && !may_find_another_) {
    meter.Finish();
    return true;
  }
  if (!log_.writer()->HasRoom()) return false;
  if (source.copied != nullptr) (*source.copied)();
  const Status written = log_.writer()->Append(generation_ + 1, live_bytes, log_.pages());
  if (written.code() == Code::kNoSpace || written.code() == Code::kNoMemory) {
    may_find_another_ = true;
    return Fail(written.code(), "%s; the last checkpoint stands", LastError());
  }
  if (!written.ok()) return Poison(written, "writing its log", errno);
  ++generation_;
  live_bytes_ = live_bytes;
  may_find_another_ = false;
  meter.Finish();
  return true;
}

// ORDER  the log's blocks, synced  <  a superblock that names them, in both slots  <  a record
// WHY    a slot that does not name the log leads to what was before its records.          [REC-2]
// CRASH  before a record: the last checkpoint, by any slot.
// TEST   image/log_test: EitherSlotLeadsToTheLog
Status ImageFile::MakeLog() {
  Result<LogWriter> writer = LogWriter::Open(file_);
  if (!writer) return writer.status();
  const uint64_t log_bytes = LogBytesFor(space_.end());
  const FileExtent log = {space_.Take(log_bytes), log_bytes};
  if (const Status filled = writer->Fill(log); !filled.ok()) {
    GiveBack({log});
    spare_.ReturnAll(file_, space_);
    return filled;
  }
  OnHeap<ImageSuperblock> next = current_;
  next->generation = NextGeneration();
  NameLog(*next, log);
  MORSEL_TRY(Publish(*next, {log}));
  AcceptSameTree(std::move(next));
  log_.SetWriter(std::move(*writer));
  return StartLog();
}

// The current superblock is alone in its slot, and its log, if it names one, is empty. If it cannot
// be written into the other slot, too, it stands all the same, and there are no records.
Status ImageFile::StartLog() {
  KeepLastError keep;
  const Status published = PublishTwin();
  if (poisoned_) keep.LetGo();
  if (published.ok()) log_.Start(*current_);
  return poisoned_ ? published : Status();
}

// The next one that belongs into the slot that the current superblock is not in.           [IMG-2]
uint64_t ImageFile::NextGeneration() const {
  const uint64_t next = std::max(generation_, current_->generation) + 1;
  return SlotOffset(next) == SlotOffset(current_->generation) ? next + 1 : next;
}

// Stores into the tree, with what the log has. The log is empty then, or given up.
Status ImageFile::StoreNext(Source source, uint64_t live_bytes, bool keeps_log) {
  const uint64_t size_bytes = source.size_bytes;
  MORSEL_CHECK(size_bytes % kSubtreeBytes == 0 && size_bytes <= current_->capacity_bytes);
  os::PageSet dirty;
  if (source.dirty != nullptr && !log_.pages().empty()) {
    dirty = log_.WithLogged(*source.dirty);
    source.dirty = &dirty;
  }
  const uint64_t generation = NextGeneration();
  TreeWriter writer(file_, space_, tree_, generation, current_->codec, compact_bytes_);
  ProgressMeter meter(progress_, Activity::kStoring, TreeWriter::BytesToLookAt(source));
  Result<Tree> tree = writer.Write(source, meter);
  if (!tree) {
    const bool has_any = current_->generation != 0;
    (void)Fail(tree.error(), "%s%s", LastError(), has_any ? "; the last checkpoint stands" : "");
    const KeepLastError keep;
    GiveBack(writer.written());
    spare_.ReturnAll(file_, space_);
    return tree.status();
  }
  OnHeap<ImageSuperblock> next = current_;
  next->size_bytes = size_bytes;
  next->live_bytes = live_bytes;
  // Where a morsel is at home its file has the name.
  if (current_->generation != 0) SetCarriedName(*next, "");
  next->root = tree->root;
  std::fill(std::begin(next->lists), std::end(next->lists), PatchList{});
  std::copy(tree->lists.begin(), tree->lists.end(), next->lists);
  const bool had_log = HasLog(*current_);
  next->log_position = log_.end();
  next->log_whole = 0;
  // Where nobody has filled the log since the file was opened it may have holes.
  if (had_log && (!keeps_log || log_.writer() == nullptr)) NameNoLog(*next);
  const bool is_same = std::memcmp(&*next, &*current_, sizeof *next) == 0;
  if (is_same && writer.written().empty() && !may_find_another_) {
    meter.Finish();
    return Code::kOk;
  }
  next->generation = generation;
  log_.Stop();
  MORSEL_TRY(Publish(*next, writer.written()));
  compact_bytes_ = writer.left_for_compacting();
  Accept(std::move(next), std::move(*tree));
  if (source.dirty != nullptr && BytesOf(writer.written()) <= kFewBytesMax) log_.CountFew();
  if (had_log) MORSEL_TRY(StartLog());
  spare_.Return(file_, space_, BytesOf(writer.written()));
  meter.Finish();
  return Code::kOk;
}

Status ImageFile::Publish(const ImageSuperblock& next, const std::vector<FileExtent>& written) {
  // ORDER  tables and leaves, synced  <  superblock
  // WHY    if a superblock leads to bytes that are not there, the morsel is lost.          [IMG-1]
  // CRASH  before the superblock: the last generation. After: this one, whole.
  // TEST   image/crash_test: EveryCrashIsTheLastOrTheNextCheckpoint
  if (const Status synced = file_.Sync(); !synced.ok()) return Poison(synced, "fdatasync", errno);
  return PublishSynced(next, written);
}

// What the superblock leads to is durable.
Status ImageFile::PublishSynced(const ImageSuperblock& next,
                                const std::vector<FileExtent>& written) {
  left_.Writing(next.generation);
  if (Status status = WriteSuperblock(file_, next); !status.ok()) {
    quarantined_.insert(quarantined_.end(), written.begin(), written.end());  // [IMF-3]
    may_find_another_ = true;
    return status;
  }
  left_.Written(next);
  if (const Status synced = file_.Sync(); !synced.ok()) return Poison(synced, "fdatasync", errno);
  return Code::kOk;
}

// Publishes the current superblock in the other slot, too.
// ORDER  both slots lead to the settled tree  <  a block of the log, or of what only the tree
//        before had, is written again
// WHY    the other slot leads to both.                                           [IMG-1] [REC-2]
// CRASH  before: either slot leads to a tree and a log that are whole. After: to the same ones.
// TEST   image/log_test: EitherSlotLeadsToTheLog
Status ImageFile::PublishTwin() {
  OnHeap<ImageSuperblock> twin = current_;
  twin->generation = current_->generation + 1;
  MORSEL_TRY(PublishSynced(*twin, {}));
  AcceptSameTree(std::move(twin));
  return Code::kOk;
}

void ImageFile::Accept(OnHeap<ImageSuperblock> next, Tree tree) {
  // ORDER  superblock, synced  <  what only older generations have is free
  // WHY    until then the slot on the medium still leads there.                   [IMG-1] [IMF-2]
  // CRASH  before: the last generation or this one, and all that either leads to is there.
  // TEST   image/crash_test: NothingThatASuperblockLeadsToIsTouched
  std::vector<FileExtent> retired = ExtentsOnlyIn(tree_, tree);
  if (HasLog(*current_) && !HasLog(*next)) retired.push_back(*LogExtentOf(*current_));
  tree_ = std::move(tree);
  log_.Settled();
  AcceptSameTree(std::move(next));
  live_bytes_ = current_->live_bytes;
  retired_ = std::move(retired);
}

void ImageFile::AcceptSameTree(OnHeap<ImageSuperblock> next) {
  std::vector<FileExtent> freed = std::move(retired_);
  freed.insert(freed.end(), quarantined_.begin(), quarantined_.end());
  retired_.clear();
  quarantined_.clear();
  may_find_another_ = false;
  current_ = std::move(next);
  generation_ = std::max(generation_, current_->generation);
  GiveBack(freed);
}

// Refuses every later Store(). This holds for any reason, also for one that would go away: a second
// sync that succeeds proves nothing about what the first one lost.
Status ImageFile::Poison(Status status, const char* tried, int error) {
  poisoned_ = true;
  if (current_->generation == 0) return status;
  return Fail(Code::kIo,
              "image '%s': %s: %s; no checkpoint can be promised any more, and the last good "
              "one stands, or this one: discard the morsel and open it again",
              file_.path().c_str(), tried, std::strerror(error));
}

Status ImageFile::Poisoned() const {
  return Fail(Code::kIo,
              "image '%s': an earlier sync failed, so that no checkpoint can be promised any more; "
              "the last good one stands, or the one that failed: discard the morsel and open it "
              "again",
              file_.path().c_str());
}

void ImageFile::GiveBack(const std::vector<FileExtent>& extents) {
  for (const FileExtent& extent : extents) {
    space_.Give(extent);
    spare_.Add(extent);
  }
}

}  // namespace morsel::image
