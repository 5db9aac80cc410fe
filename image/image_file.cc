#include "image/image_file.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <iterator>
#include <map>

#include "base/bits.h"
#include "base/check.h"
#include "base/error.h"
#include "image/format/dead_writer.h"
#include "image/format/superblock.h"
#include "image/format/tree_reader.h"
#include "image/load/leaf_reader.h"
#include "image/load/raw_runs.h"
#include "image/store/tree_writer.h"

namespace morsel::image {
namespace {

ImageInfo InfoOf(const ImageSuperblock& superblock) {
  return {.id = superblock.id,
          .base = superblock.base,
          .capacity_bytes = superblock.capacity_bytes,
          .size_bytes = superblock.size_bytes,
          .live_bytes = superblock.live_bytes,
          .generation = superblock.generation,
          .contract = static_cast<Contract>(superblock.contract),
          .grows = (superblock.flags & kFlagGrows) != 0,
          .codec = superblock.codec,
          .giant = (superblock.flags & kFlagGiant) != 0,
          .carried_name = CarriedName(superblock)};
}

// The superblock of an image that has no generation yet.
OnHeap<ImageSuperblock> SuperblockOf(const ImageInfo& info) {
  OnHeap<ImageSuperblock> superblock;
  superblock->magic = kMagic;
  superblock->version = kVersion;
  superblock->flags = (info.grows ? kFlagGrows : 0) | (info.giant ? kFlagGiant : 0);
  superblock->id = info.id;
  superblock->base = info.base;
  superblock->capacity_bytes = info.capacity_bytes;
  superblock->contract = static_cast<uint32_t>(info.contract);
  superblock->codec = info.codec;
  SetCarriedName(*superblock, info.carried_name);
  return superblock;
}

const Damaged kRefused = [](Status status) { return status; };

}  // namespace

ImageInfo ImageFile::info() const {
  ImageInfo info = InfoOf(*current_);
  info.generation = generation_;
  info.live_bytes = live_bytes_;
  info.may_be_older = doubt_ != Doubt::kNone;
  return info;
}

void ImageFile::FindDoubtOfSlot(std::vector<CopyFinding>& found) const {
  if (doubt_ == Doubt::kNone) return;
  const Result<ImageSuperblocks> now = ReadSuperblocks(file_);
  if (!now || now->doubt == Doubt::kNone) return;
  static constexpr const char* kWhat[] = {
      "",
      "is not whole: power was lost while it was written, and nothing is lost, or it is damaged",
      "is damaged", "cannot be read"};
  (void)Fail(Code::kCorrupt,
             "image '%s': the superblock at offset %" PRIu64 " %s; this is generation %" PRIu64
             ", which the other one leads to: no checkpoint is lost unless that one could not be "
             "written when it was made; who opens the morsel for writing next writes both anew",
             file_.path().c_str(), now->other_offset, kWhat[static_cast<size_t>(now->doubt)],
             generation_);
  found.push_back({now->doubt != Doubt::kUnfinished, LastError()});
}

std::vector<CopyFinding> ImageFile::FindDoubts() const {
  const KeepLastError keep;
  std::vector<CopyFinding> found;
  FindDoubtOfSlot(found);
  FindDamagedCopies(file_, *current_, tree_, [&](const char* message) {
    found.push_back({true, message});
  });
  return found;
}

Result<ImageInfo> ImageFile::Peek(const os::File& file) {
  const Result<ImageSuperblocks> superblocks = ReadSuperblocks(file);
  if (!superblocks) return superblocks.status();
  const ImageSuperblock& current = *superblocks->current;
  ImageInfo info = InfoOf(current);
  info.may_be_older = superblocks->doubt != Doubt::kNone;
  if (!HasLog(current)) return info;
  const Result<Tree> tree = ReadTree(file, current);
  const Result<LogContents> log =
      tree ? ReadLog(file, current, *tree, kRefused) : Result<LogContents>(tree.status());
  if (!log) {
    // What is damaged is for who opens it. The superblock is sound.
    KeepLastError keep;
    const Status failed = OrOverwritten(file, current, log.status());
    if (failed.code() == Code::kCorrupt) return info;
    keep.LetGo();
    return failed;
  }
  info.generation = log->generation;
  info.live_bytes = log->live_bytes;
  return info;
}

Result<ImageFile> ImageFile::Create(const os::Directory& directory, const std::string& name,
                                    const os::FileRights& rights, const ImageInfo& info,
                                    const char* frames, const os::PageFilter* touched,
                                    const Progress& progress, os::Naming naming) {
  const Source source = {frames, info.size_bytes, nullptr, touched};
  return Make(directory, name, rights, SuperblockOf(info), source, info.live_bytes, progress,
              naming);
}

Result<ImageFile> ImageFile::CreateFrom(LeafSource& leaves, const os::Directory& directory,
                                        const std::string& name, const os::FileRights& rights,
                                        const ImageInfo& info, const Progress& progress,
                                        os::Naming naming) {
  const Source source = {nullptr, info.size_bytes, nullptr, nullptr, nullptr, &leaves};
  OnHeap<ImageSuperblock> superblock = SuperblockOf(info);
  superblock->generation = std::max<uint64_t>(info.generation, 1) - 1;
  return Make(directory, name, rights, std::move(superblock), source, info.live_bytes, progress,
              naming);
}

Result<ImageFile> ImageFile::Make(const os::Directory& directory, const std::string& name,
                                  const os::FileRights& rights, OnHeap<ImageSuperblock> superblock,
                                  const Source& source, uint64_t live_bytes,
                                  const Progress& progress, os::Naming naming) {
  const Result<LogUse> log_use = ChosenLogUse();
  if (!log_use) return log_use.status();
  Result<os::TemporaryFile> temporary = directory.MakeTemporary(name, rights);
  if (!temporary) return temporary.status();
  ImageFile image(std::move(temporary->file), std::move(superblock));
  image.generation_ = image.current_->generation;
  image.log_use_ = *log_use;
  image.is_new_ = true;
  image.progress_ = progress;
  Status status = image.file_.Resize(kFileBytesMin);
  if (status.ok()) {
    status = image.Store(source, live_bytes);
  }
  if (status.ok()) status = directory.Publish(image.file_, temporary->name, name, naming);
  if (status.ok()) {
    image.is_new_ = false;
    return image;
  }
  directory.Abandon(temporary->name);
  return status;
}

Result<ImageFile> ImageFile::Open(os::File file, bool read_only) {
  Result<LogUse> log_use = LogUse::kNever;
  if (!read_only) log_use = ChosenLogUse();
  if (!log_use) return log_use.status();
  // ORDER  what a dead writer has in flight has landed  <  anything is read
  // WHY    it would land over what is written from now on, or be believed by who reads later and
  //        not by this writer.                                                      [IMG-1] [REC-2]
  // CRASH  makes no difference.
  // TEST   image/dead_writer_test: WhatAWriterLeftInFlightIsSeenOrGone
  if (!read_only) MORSEL_TRY(AwaitDeadWriter(file));
  const Result<ImageSuperblocks> superblocks = ReadSuperblocks(file);
  if (!superblocks) return superblocks.status();
  if (!read_only && IsOfVersion4(*superblocks->current)) {
    return Fail(Code::kVersion,
                "image '%s' is of version 4, which this library reads and does not write: it is "
                "stored anew when its morsel is opened for writing in a pool",
                file.path().c_str());
  }
  // Who writes an image is alone with it.
  const auto failure = [&](Status status) {
    return read_only ? OrOverwritten(file, *superblocks->current, status) : status;
  };
  Result<Tree> tree = ReadTree(file, *superblocks->current);
  if (!tree) return failure(tree.status());
  const Result<LogContents> log = ReadLog(file, *superblocks->current, *tree, kRefused);
  if (!log) return failure(log.status());
  ImageFile image(std::move(file), superblocks->current);
  image.TakeRead(std::move(*tree), *log);
  image.read_only_ = read_only;
  image.log_use_ = *log_use;
  image.doubt_ = superblocks->doubt;
  if (read_only) return image;
  MORSEL_TRY(MayWrite(image.file_, *image.current_));
  MORSEL_TRY(image.CheckMayGoOn());
  MORSEL_TRY(image.left_.Take(image.file_, *image.current_));
  MORSEL_TRY(image.TakeSpace(*superblocks, *log));
  image.left_.TakeLength(image.file_);
  return image;
}

Result<ImageFile> ImageFile::OpenIntact(os::File file, const Damaged& damaged) {
  const Result<ImageSuperblocks> superblocks = ReadSuperblocks(file);
  if (!superblocks) return superblocks.status();
  Result<Tree> tree = ReadIntact(file, *superblocks->current, damaged);
  if (!tree) return OrOverwritten(file, *superblocks->current, tree.status());
  const Result<LogContents> log = ReadLog(file, *superblocks->current, *tree, damaged);
  if (!log) return OrOverwritten(file, *superblocks->current, log.status());
  ImageFile image(std::move(file), superblocks->current);
  image.TakeRead(std::move(*tree), *log);
  image.read_only_ = true;
  image.doubt_ = superblocks->doubt;
  for (const CopyFinding& finding : image.FindDoubts()) {
    MORSEL_TRY(damaged(Fail(Code::kCorrupt, "%s", finding.message.c_str())));
  }
  return image;
}

// What is written next has higher numbers, and must be believed by who reads it. No opening counts
// through the half that is left.
Status ImageFile::CheckMayGoOn() const {
  const bool may_go_on = generation_ < kGenerationsEnd / 2 &&
                         current_->sequence < kGenerationsEnd / 2 &&
                         log_.end() < kLogPositionsEnd / 2;
  if (may_go_on) return Code::kOk;
  return Fail(Code::kCorrupt,
              "image '%s' has generation %" PRIu64 " and log position %" PRIu64
              ", which no checkpoints have counted to; it can only be opened read-only: export it, "
              "compressed anew, and use that",
              file_.path().c_str(), generation_, log_.end());
}

void ImageFile::TakeRead(Tree tree, const LogContents& log) {
  tree_ = std::move(tree);
  generation_ = log.generation;
  live_bytes_ = log.live_bytes;
  is_cut_ = log.is_cut;
  log_.Take(log);
}

// Finds out what is free. To be called before anything else is written.
Status ImageFile::TakeSpace(const ImageSuperblocks& found, const LogContents& log) {
  const Status durable = MakeFoundDurable(found, log);
  if (!durable.ok()) {
    return Fail(durable.code(), "%s; the image can only be opened read-only", LastError());
  }
  may_find_another_ = false;
  is_in_both_ = true;
  std::vector<FileExtent> used = Extents();
  held_.Find(file_, used);
  space_ = Space(used);
  spare_.Find(file_, space_);
  return Code::kOk;
}

// If the slots lead to the same, the older one is durable: it was when the newer one was written.
// ORDER  the superblock that was found and the log's last record, synced  <  the other slot, synced
//        <  every other write
// WHY    after a sync that failed they may be in the cache only. The newest on the medium is then
//        the superblock it replaced, whose extents would be written over.                [IMG-1]
// CRASH  before: either of the two is found again. After: the medium has the one found here.
// TEST   image/crash_test: OpeningMakesTheSuperblockDurableFirst; image/settle_crash_test:
//        OpeningMakesTheSuperblockOfASettleDurableFirst
Status ImageFile::MakeFoundDurable(const ImageSuperblocks& found, const LogContents& log) {
  MORSEL_TRY(RewriteLast(file_, log));
  MORSEL_TRY(WriteSuperblock(file_, *current_));
  MORSEL_TRY(file_.Sync());
  const bool is_in_both = found.other && LeadToTheSame(*found.current, **found.other);
  if (is_in_both && log.last.size_bytes == 0) return Code::kOk;
  if (HasLog(*current_)) current_->log_whole = log.end;
  return PublishTwin();
}

// What the current superblock leads to, sorted.
std::vector<FileExtent> ImageFile::Extents() const {
  std::vector<FileExtent> extents = tree_.Extents();
  if (const std::optional<FileExtent> log = LogExtentOf(*current_)) {
    extents.insert(std::upper_bound(extents.begin(), extents.end(), *log), *log);
  }
  return extents;
}

uint64_t ImageFile::LoadedBytes() const {
  uint64_t leaves = 0;
  for (const Table& table : tree_.tables) {
    leaves +=
        static_cast<uint64_t>(std::count_if(table.leaves.begin(), table.leaves.end(), IsPresent));
  }
  return leaves * kSubtreeBytes;
}

UnsettledPages ImageFile::unsettled() const {
  UnsettledPages all = log_.pages();
  all.insert(tree_.listed.begin(), tree_.listed.end());
  return all;
}

std::vector<os::FileRun> ImageFile::RawRuns() const {
  return IsOfVersion4(*current_) ? std::vector<os::FileRun>() : RawRunsOf(tree_);
}

Status ImageFile::LoadBeside(const std::vector<os::FileRun>& mapped, char* frames) const {
  const UnsettledPages elsewhere = unsettled();
  LeafReader reader(file_, current_->base, elsewhere);
  if (mapped.empty()) {
    MORSEL_TRY(reader.Load(tree_, frames, progress_));
  } else {
    MORSEL_TRY(reader.Load(WithoutRuns(tree_, mapped), frames, progress_));
  }
  return ReadUnsettledPages(file_, current_->base, elsewhere,
                            [&](uint64_t page, const char* bytes, Status status) {
                              if (!status.ok()) return status;
                              std::memcpy(frames + page * kPageBytes, bytes, kPageBytes);
                              return Status();
                            });
}

Status ImageFile::LoadIntact(char* frames, const Damaged& damaged) const {
  // Sorted by position. If several pages of a leaf are damaged, the first failure is enough.
  std::map<SubtreePosition, std::pair<Code, std::string>> lost;
  const auto lose = [&](SubtreePosition position, Status status) {
    lost.try_emplace(position, status.code(), LastError());
    return Status();
  };
  const UnsettledPages elsewhere = unsettled();
  LeafReader reader(file_, current_->base, elsewhere);
  MORSEL_TRY(reader.LoadIntact(tree_, frames, lose, progress_));
  MORSEL_TRY(ReadUnsettledPages(file_, current_->base, elsewhere,
                                [&](uint64_t page, const char* bytes, Status status) {
                                  if (!status.ok()) {
                                    return lose(SubtreePosition(page / kPagesPerLeaf), status);
                                  }
                                  std::memcpy(frames + page * kPageBytes, bytes, kPageBytes);
                                  return Status();
                                }));
  for (const auto& [position, failure] : lost) {
    std::memset(frames + position.value() * kSubtreeBytes, 0, kSubtreeBytes);
    MORSEL_TRY(damaged(Fail(failure.first, "%s", failure.second.c_str())));
  }
  return Code::kOk;
}

Status ImageFile::Verify(const std::function<void(const char*)>& report, Verified what) const {
  const UnsettledPages elsewhere = unsettled();
  std::map<SubtreePosition, std::string> messages;
  LeafReader reader(file_, current_->base, elsewhere);
  MORSEL_TRY(reader.Verify(
      tree_, what,
      [&](SubtreePosition position, const char* message) { messages.emplace(position, message); },
      progress_));
  MORSEL_TRY(ReadUnsettledPages(file_, current_->base, elsewhere,
                                [&](uint64_t page, const char*, Status status) {
                                  if (!status.ok()) {
                                    messages.emplace(page / kPagesPerLeaf, LastError());
                                  }
                                  return Status();
                                }));
  for (const auto& [position, message] : messages) report(message.c_str());
  return Code::kOk;
}

}  // namespace morsel::image
