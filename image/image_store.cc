// Storing into an image that is open: into its tree, or a few pages into its log.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "base/error.h"
#include "image/image_file.h"
#include "image/settle/settler.h"
#include "image/store/few_pages.h"
#include "image/store/tree_writer.h"
#include "image/written_room.h"

namespace morsel::image {
namespace {

/// A checkpoint that has written no more would have fitted into a log.
constexpr uint64_t kFewBytesMax = 64 * kPageBytes;
/// So many pages stay where they are until others come: as many as a record has.
constexpr uint64_t kListedAtRestMax = kRecordPagesMax;

uint64_t BytesOf(const std::vector<FileExtent>& extents) {
  uint64_t bytes = 0;
  for (const FileExtent& extent : extents) bytes += extent.size_bytes;
  return bytes;
}

// Whether it is a checkpoint of so few pages that room is kept for it.
bool IsOfFew(const Source& source) {
  if (source.dirty == nullptr) return false;
  size_t count = 0;
  for (const auto& [position, pages] : source.dirty->subtrees()) count += pages.count();
  return count <= 2 * kListedAtRestMax;
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

/// Whatever is written to the file until it ends is the writer's own.
class TakesTime {
 public:
  explicit TakesTime(LeftByWriter& left) : left_(left) {}
  ~TakesTime() { left_.TakeTime(); }
  TakesTime(const TakesTime&) = delete;
  TakesTime& operator=(const TakesTime&) = delete;

 private:
  LeftByWriter& left_;
};

}  // namespace

// Checks that nobody else has written to the file. A copy that was made since the log was may have
// the same superblocks, and fewer records.
Status ImageFile::CheckIsOwn() {
  const Result<bool> may_have_changed = left_.Check(file_);
  if (!may_have_changed) return may_have_changed.status();
  if (!*may_have_changed || !log_.is_started()) return Code::kOk;
  const Result<bool> has_last = log_.writer()->HasLast();
  if (!has_last) return has_last.status();
  return *has_last ? Status() : LeftByWriter::IsOverwritten(file_);
}

Status ImageFile::Store(const char* frames, uint64_t size_bytes, uint64_t live_bytes,
                        const os::PageSet* dirty, const os::PageFilter* touched,
                        const std::function<void()>* copied) {
  return Store({frames, size_bytes, dirty, touched, copied}, live_bytes);
}

Status ImageFile::Store(const Source& source, uint64_t live_bytes) {
  MORSEL_CHECK(!read_only_);
  if (poisoned_) return Poisoned();
  // Before a byte is written: what is free is free in this writer's file only.             [IMF-1]
  if (!is_new_) MORSEL_TRY(CheckIsOwn());
  const TakesTime takes_time(left_);
  live_bytes = std::min(live_bytes, source.size_bytes);
  const Result<InLog> in_log = StoreInLog(source, live_bytes);
  if (!in_log || *in_log == InLog::kStored) return in_log.status();
  Status stored = *in_log == InLog::kIsFull ? StoreInEmptyLog(source, live_bytes)
                                            : StoreInTree(source, live_bytes);
  // What is unsettled takes room that a settle frees, and needs less.
  const bool may_make_room = *in_log == InLog::kNotForLog && !unsettled().empty();
  if (stored.code() == Code::kNoSpace && may_make_room && !poisoned_) {
    stored = StoreInEmptyLog(source, live_bytes);
  }
  left_.TakeLength(file_);
  return stored;
}

// A checkpoint of few pages that finds the log full: that is settled first. What a settle cannot
// read or write does not stop the checkpoint, which has all of it.
Status ImageFile::StoreInEmptyLog(const Source& source, uint64_t live_bytes) {
  {
    KeepLastError keep;
    const Status settled = SettleAll(/*keeps_log=*/true);
    if (poisoned_) {
      keep.LetGo();
      return settled;
    }
  }
  const Result<InLog> in_log = StoreInLog(source, live_bytes);
  if (!in_log || *in_log == InLog::kStored) return in_log.status();
  return StoreInTree(source, live_bytes);
}

// A checkpoint of much. Pages of leaves that have changed a little are settled at once, unless they
// are few.
Status ImageFile::StoreInTree(const Source& source, uint64_t live_bytes) {
  MORSEL_TRY(StoreNext(source, live_bytes, /*keeps_log=*/true));
  if (tree_.listed.size() <= kListedAtRestMax) return Code::kOk;
  KeepLastError keep;
  const Status settled = SettleAll(/*keeps_log=*/true);
  if (poisoned_) keep.LetGo();
  return poisoned_ ? settled : Status();
}

Status ImageFile::Settle(const char* frames, const os::PageFilter* touched) {
  MORSEL_CHECK(!read_only_);
  if (!HasLog(*current_)) return Code::kOk;
  if (poisoned_) return Poisoned();
  MORSEL_TRY(CheckIsOwn());
  const TakesTime takes_time(left_);
  Status settled = SettleAll(/*keeps_log=*/false);
  // Where the log cannot be read, the memory has what it has.
  if (!settled.ok() && !poisoned_ && settled.code() != Code::kNoSpace) {
    const os::PageSet nothing;
    settled = StoreNext({frames, current_->size_bytes, &nothing, touched}, live_bytes_, false);
  }
  left_.TakeLength(file_);
  return settled;
}

// The next checkpoint of much writes the leaf elsewhere. Nothing is written to its place any more.
void ImageFile::LeavePlace(SubtreePosition position) {
  if (bad_ == nullptr) bad_ = std::make_unique<BadPlaces>();
  bad_->moved.insert(position);
  bad_->offsets.insert(tree_.leaf(position).offset);
}

// Puts all pages that lie elsewhere into their leaves. The log is empty then, or given up.
Status ImageFile::SettleAll(bool keeps_log) {
  if (!is_in_both_) MORSEL_TRY(PublishTwin());
  GiveBack(held_.LookAgain(file_));
  Result<WrittenTree> settled = WriteSettled();
  if (!settled) {
    const KeepLastError keep;
    if (settled.error() == Code::kNoSpace) {
      spare_.ReturnAll(file_, space_, ReserveBytes(current_->log_bytes));
    }
    return settled.status();
  }
  OnHeap<ImageSuperblock> next = current_;
  next->generation = generation_;
  next->live_bytes = live_bytes_;
  next->root = settled->tree.root;
  std::fill(std::begin(next->lists), std::end(next->lists), PatchList{});
  next->log_position = log_.end();
  next->log_whole = 0;
  if (HasLog(*next) && (!keeps_log || log_.writer() == nullptr)) NameNoLog(*next);
  ++next->sequence;
  log_.Stop();
  MORSEL_TRY(Publish(*next, settled->extents));
  Accept(std::move(next), std::move(settled->tree));
  MORSEL_TRY(FinishPublishing());
  spare_.Return(file_, space_, BytesOf(settled->extents));
  KeepReserve();
  return Code::kOk;
}

// Where the file system has no room, what is written already serves. [SPR-2]
Result<ImageFile::WrittenTree> ImageFile::WriteSettled() {
  const UnsettledPages pages = unsettled();
  std::optional<OnlyWritten> only;
  for (;;) {
    Settler settler(file_, current_->base, space_, held_, tree_, pages);
    Result<Tree> tree = settler.Run();
    if (tree) return WrittenTree{std::move(*tree), settler.written()};
    const KeepLastError keep;
    for (const SubtreePosition position : settler.failed()) LeavePlace(position);
    GiveBack(settler.written());
    if (tree.error() != Code::kNoSpace || only) return tree.status();
    only.emplace(file_, space_, 0);
  }
}

uint64_t ImageFile::ReserveBytes(uint64_t log_bytes) const {
  return ReserveBytesFor(tree_, log_bytes, SpareRoom::kept_max(space_));
}

// Writes what is missing of the reserve. Where it cannot be written, a later checkpoint tries.
void ImageFile::KeepReserve() {
  if (!log_.is_started()) return;
  const KeepLastError keep;
  const std::vector<FileExtent> missing =
      TakeMissing(file_, space_, ReserveBytes(current_->log_bytes));
  for (const FileExtent& extent : missing) {
    if (!log_.writer()->Fill(extent).ok()) break;
  }
  for (const FileExtent& extent : missing) space_.Give(extent);
}

// Whether the image has a log for a checkpoint of this source, as far as can be told before its
// pages are looked at. If it is time, one is made.
Result<bool> ImageFile::HasLogFor(const Source& source) {
  const bool may_be = !is_new_ && source.dirty != nullptr &&
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

// Stores a checkpoint into the log, if that can have it.
Result<ImageFile::InLog> ImageFile::StoreInLog(const Source& source, uint64_t live_bytes) {
  const Result<bool> has_log = HasLogFor(source);
  if (poisoned_) return Poisoned();
  if (!has_log) return has_log.status();
  if (!*has_log) return InLog::kNotForLog;
  RecordBuilder& record = log_.writer()->Begin();
  if (!CopyFewPages(source, {file_, tree_, log_.pages()}, record)) {
    return record.is_full() && log_.writer()->is_nearly_full() ? InLog::kIsFull : InLog::kNotForLog;
  }
  ProgressMeter meter(progress_, Activity::kStoring, TreeWriter::BytesToLookAt(source));
  const bool is_same = record.page_count() == 0 && live_bytes == live_bytes_;
  if (is_same && !may_find_another_) {
    meter.Finish();
    return InLog::kStored;
  }
  if (!log_.writer()->HasRoom()) return InLog::kIsFull;
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
  return InLog::kStored;
}

// ORDER  the log's blocks, synced  <  a superblock that names them, in both slots  <  a record
// WHY    a slot that does not name the log leads to what was before its records.          [REC-2]
// CRASH  before a record: the last checkpoint, by any slot.
// TEST   image/log_test: EitherSlotLeadsToTheLog
Status ImageFile::MakeLog() {
  Result<LogWriter> writer = LogWriter::Open(file_);
  if (!writer) return writer.status();
  const uint64_t log_bytes = LogBytesFor(space_.end());
  const uint64_t reserve_bytes = ReserveBytes(log_bytes);
  const FileExtent log = {space_.Take(log_bytes), log_bytes};
  const std::vector<FileExtent> reserve = TakeMissing(file_, space_, reserve_bytes);
  Status filled = writer->Fill(log);
  for (const FileExtent& extent : reserve) {
    if (filled.ok()) filled = writer->Fill(extent);
  }
  for (const FileExtent& extent : reserve) space_.Give(extent);
  if (!filled.ok()) {
    GiveBack({log});
    spare_.ReturnAll(file_, space_, reserve_bytes);
    return filled;
  }
  OnHeap<ImageSuperblock> next = current_;
  ++next->sequence;
  NameLog(*next, log);
  MORSEL_TRY(Publish(*next, {log}));
  AcceptSameTree(std::move(next));
  log_.SetWriter(std::move(*writer));
  return FinishPublishing();
}

// The current superblock is alone in its slot, and its log, if it names one, is empty. If it cannot
// be written into the other slot, too, it stands all the same, and there are no records.
Status ImageFile::FinishPublishing() {
  KeepLastError keep;
  is_in_both_ = false;
  const Status published = PublishTwin();
  if (poisoned_) keep.LetGo();
  if (published.ok()) log_.Start(*current_);
  return poisoned_ ? published : Status();
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
  const uint64_t generation = generation_ + 1;
  if (bad_ != nullptr) source.moved = &bad_->moved;
  GiveBack(held_.LookAgain(file_));
  ProgressMeter meter(progress_, Activity::kStoring, TreeWriter::BytesToLookAt(source));
  Result<WrittenTree> written = WriteNext(source, generation, meter);
  if (!written) {
    (void)Fail(written.error(), "%s%s", LastError(), is_new_ ? "" : "; the last checkpoint stands");
    const KeepLastError keep;
    spare_.ReturnAll(file_, space_, ReserveBytes(current_->log_bytes));
    return written.status();
  }
  const Tree& tree = written->tree;
  OnHeap<ImageSuperblock> next = current_;
  next->size_bytes = size_bytes;
  next->live_bytes = live_bytes;
  // Where a morsel is at home its file has the name.
  if (!is_new_) SetCarriedName(*next, "");
  next->root = tree.root;
  std::fill(std::begin(next->lists), std::end(next->lists), PatchList{});
  std::copy(tree.lists.begin(), tree.lists.end(), next->lists);
  const bool had_log = HasLog(*current_);
  next->log_position = log_.end();
  next->log_whole = 0;
  // Where nobody has filled the log since the file was opened it may have holes.
  if (had_log && (!keeps_log || log_.writer() == nullptr)) NameNoLog(*next);
  const bool is_same = std::memcmp(&*next, &*current_, sizeof *next) == 0;
  if (is_same && written->extents.empty() && !may_find_another_) {
    meter.Finish();
    return Code::kOk;
  }
  next->generation = generation;
  ++next->sequence;
  log_.Stop();
  MORSEL_TRY(Publish(*next, written->extents));
  Accept(std::move(next), std::move(written->tree));
  if (bad_ != nullptr) bad_->moved.clear();
  const uint64_t written_bytes = BytesOf(written->extents);
  if (source.dirty != nullptr && written_bytes <= kFewBytesMax) log_.CountFew();
  MORSEL_TRY(FinishPublishing());
  spare_.Return(file_, space_, written_bytes);
  KeepReserve();
  meter.Finish();
  return Code::kOk;
}

// On a full disk a checkpoint of few pages has what is written already, but for what a settle will
// need. [SPR-2]
Result<ImageFile::WrittenTree> ImageFile::WriteNext(const Source& source, uint64_t generation,
                                                    ProgressMeter& meter) {
  std::optional<OnlyWritten> only;
  for (;;) {
    TreeWriter writer(file_, space_, tree_, generation, current_->codec);
    Result<Tree> tree = writer.Write(source, meter);
    if (tree) return WrittenTree{std::move(*tree), writer.written()};
    const KeepLastError keep;
    GiveBack(writer.written());
    if (tree.error() != Code::kNoSpace || only || !IsOfFew(source)) return tree.status();
    only.emplace(file_, space_, SettleBytesFor(tree_, kPatchesMax));
  }
}

Status ImageFile::Publish(const ImageSuperblock& next, const std::vector<FileExtent>& written) {
  // ORDER  tables and leaves, synced  <  superblock
  // WHY    if a superblock leads to bytes that are not there, the morsel is lost.          [IMG-1]
  // CRASH  before the superblock: the last generation. After: this one, whole.
  // TEST   image/crash_test: EveryCrashIsTheLastOrTheNextCheckpoint
  // An image that is being made has no name yet, and gets it when all of it is synced.
  const Status synced = is_new_ ? Status() : file_.Sync();
  if (!synced.ok()) return Poison(synced, "fdatasync", errno);
  return PublishSynced(next, written);
}

// What the superblock leads to is durable.
Status ImageFile::PublishSynced(const ImageSuperblock& next,
                                const std::vector<FileExtent>& written) {
  left_.Writing(next);
  if (Status status = WriteSuperblock(file_, next); !status.ok()) {
    quarantined_.insert(quarantined_.end(), written.begin(), written.end());  // [IMF-3]
    may_find_another_ = true;
    return status;
  }
  left_.Written(next);
  const Status synced = is_new_ ? Status() : file_.Sync();
  if (!synced.ok()) return Poison(synced, "fdatasync", errno);
  return Code::kOk;
}

// Publishes the current superblock in the other slot, too.
// ORDER  both slots lead to the same tree  <  a block of the log, or of what only the tree before
//        had, is written again
// WHY    the other slot leads to both.                                           [IMG-1] [REC-2]
// CRASH  before: either slot leads to a tree and a log that are whole. After: to the same ones.
// TEST   image/log_test: EitherSlotLeadsToTheLog
Status ImageFile::PublishTwin() {
  OnHeap<ImageSuperblock> twin = current_;
  ++twin->sequence;
  MORSEL_TRY(PublishSynced(*twin, {}));
  AcceptSameTree(std::move(twin));
  is_in_both_ = true;
  return Code::kOk;
}

void ImageFile::Accept(OnHeap<ImageSuperblock> next, Tree tree) {
  // ORDER  superblock, synced  <  what only older generations have is free
  // WHY    until then the slot on the medium still leads there.                   [IMG-1] [IMF-2]
  // CRASH  before: the last generation or this one, and all that either leads to is there.
  // TEST   image/crash_test: NothingThatASuperblockLeadsToIsTouched
  std::vector<FileExtent> retired = ExtentsOnlyIn(tree_, tree);
  std::erase_if(retired, [&](const FileExtent& one) {
    return bad_ != nullptr && bad_->offsets.contains(one.offset);
  });
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
  if (is_new_) return status;
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
  for (const FileExtent& extent : held_.Release(extents)) {
    space_.Give(extent);
    spare_.Add(extent);
  }
}

}  // namespace morsel::image
