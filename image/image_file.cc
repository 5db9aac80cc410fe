#include "image/image_file.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <iterator>
#include <map>

#include "base/bits.h"
#include "base/check.h"
#include "base/error.h"
#include "image/format/superblock.h"
#include "image/format/tree_reader.h"
#include "image/load/leaf_reader.h"
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

std::vector<FileExtent> Without(const std::vector<FileExtent>& all,
                                const std::vector<FileExtent>& these) {
  std::vector<FileExtent> rest;
  std::set_difference(all.begin(), all.end(), these.begin(), these.end(), std::back_inserter(rest));
  return rest;
}

bool AreDisjoint(const std::vector<FileExtent>& sorted) {
  for (size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i].offset < sorted[i - 1].end()) return false;
  }
  return true;
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

std::optional<SlotFinding> ImageFile::FindDoubt() const {
  if (doubt_ == Doubt::kNone) return std::nullopt;
  const KeepLastError keep;
  const Result<ImageSuperblocks> now = ReadSuperblocks(file_, Unreadable::kTold);
  if (!now || now->doubt == Doubt::kNone) return std::nullopt;
  static constexpr const char* kWhat[] = {
      "",
      "is not whole: power was lost while it was written, and nothing is lost, or it is damaged",
      "is damaged", "cannot be read"};
  const uint64_t other = kSuperblockBytes - SlotOffset(now->current->generation);
  (void)Fail(Code::kCorrupt,
             "image '%s': the superblock at offset %" PRIu64 " %s; this is generation %" PRIu64
             ", which the other one leads to, and a later checkpoint may be lost%s",
             file_.path().c_str(), other, kWhat[static_cast<size_t>(now->doubt)], generation_,
             now->doubt == Doubt::kUnreadable
                 ? ": export it, and import that, as it cannot be opened for writing"
                 : ": compare it with a copy; the next checkpoint writes that superblock anew");
  return SlotFinding{now->doubt != Doubt::kUnfinished, LastError()};
}

Result<ImageInfo> ImageFile::Peek(const os::File& file) {
  const Result<ImageSuperblocks> superblocks = ReadSuperblocks(file, Unreadable::kTold);
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
  return Make(directory, name, rights, info, source, progress, naming);
}

Result<ImageFile> ImageFile::CreateFrom(LeafSource& leaves, const os::Directory& directory,
                                        const std::string& name, const os::FileRights& rights,
                                        const ImageInfo& info, const Progress& progress) {
  const Source source = {nullptr, info.size_bytes, nullptr, nullptr, nullptr, &leaves};
  return Make(directory, name, rights, info, source, progress);
}

Result<ImageFile> ImageFile::Make(const os::Directory& directory, const std::string& name,
                                  const os::FileRights& rights, const ImageInfo& info,
                                  const Source& source, const Progress& progress,
                                  os::Naming naming) {
  const Result<LogUse> log_use = ChosenLogUse();
  if (!log_use) return log_use.status();
  Result<os::TemporaryFile> temporary = directory.MakeTemporary(name, rights);
  if (!temporary) return temporary.status();
  ImageFile image(std::move(temporary->file), SuperblockOf(info));
  image.log_use_ = *log_use;
  image.progress_ = progress;
  Status status = image.file_.Resize(kExtentsStart);
  if (status.ok()) {
    status = image.Store(source, info.live_bytes);
  }
  if (status.ok()) status = directory.Publish(image.file_, temporary->name, name, naming);
  if (status.ok()) return image;
  directory.Abandon(temporary->name);
  return status;
}

Result<ImageFile> ImageFile::Open(os::File file, bool read_only) {
  Result<LogUse> log_use = LogUse::kNever;
  if (!read_only) log_use = ChosenLogUse();
  if (!log_use) return log_use.status();
  const Result<ImageSuperblocks> superblocks =
      ReadSuperblocks(file, read_only ? Unreadable::kTold : Unreadable::kFails);
  if (!superblocks) return superblocks.status();
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
  MORSEL_TRY(image.left_.Take(image.file_));
  MORSEL_TRY(image.TakeSpace(*superblocks, *log));
  image.left_.TakeLength(image.file_);
  return image;
}

Result<ImageFile> ImageFile::OpenIntact(os::File file, const Damaged& damaged) {
  const Result<ImageSuperblocks> superblocks = ReadSuperblocks(file, Unreadable::kTold);
  if (!superblocks) return superblocks.status();
  Result<Tree> tree = ReadIntact(file, *superblocks->current, damaged);
  if (!tree) return OrOverwritten(file, *superblocks->current, tree.status());
  const Result<LogContents> log = ReadLog(file, *superblocks->current, *tree, damaged);
  if (!log) return OrOverwritten(file, *superblocks->current, log.status());
  ImageFile image(std::move(file), superblocks->current);
  image.TakeRead(std::move(*tree), *log);
  image.read_only_ = true;
  image.doubt_ = superblocks->doubt;
  if (const auto finding = image.FindDoubt()) {
    MORSEL_TRY(damaged(Fail(Code::kCorrupt, "%s", finding->message.c_str())));
  }
  return image;
}

// What is written next has higher numbers, and must be believed by who reads it. No opening counts
// through the half that is left.
Status ImageFile::CheckMayGoOn() const {
  if (generation_ < kGenerationsEnd / 2 && log_.end() < kLogPositionsEnd / 2) return Code::kOk;
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
  // ORDER  the superblock that was found and the log's last record, synced  <  every other write
  // WHY    after a sync that failed they may be in the cache only. The newest on the medium is then
  //        the superblock it replaced, whose extents would be written over.                [IMG-1]
  // CRASH  before: either of the two is found again. After: the medium has the one found here.
  // TEST   image/crash_test: OpeningMakesTheSuperblockDurableFirst
  Status status = RewriteLast(file_, log);
  if (status.ok()) status = WriteSuperblock(file_, *current_);
  if (status.ok()) status = file_.Sync();
  // Where there is a log, the other slot may lead before it, or to what it had before it was
  // settled.
  const bool has_twin = HasLog(*current_) || (found.other && HasLog(**found.other));
  if (status.ok() && has_twin) {
    if (HasLog(*current_)) current_->log_whole = log.end;
    status = PublishTwin();
  }
  if (!status.ok()) {
    return Fail(status.code(), "%s; the image can only be opened read-only", LastError());
  }

  may_find_another_ = false;
  std::vector<FileExtent> used = Extents();
  if (found.older.has_value() && !has_twin) {
    // The older superblock protects what it leads to. If its tables are damaged, it leads nowhere.
    const Result<Tree> older_tree = ReadTree(file_, **found.older);
    if (older_tree) {
      TakeOlder(*older_tree, used);
    } else if (older_tree.error() != Code::kCorrupt) {
      return TakeAll(used);
    }
  }
  space_ = Space(used);
  spare_.Find(file_, space_);
  return Code::kOk;
}

// What only the older generation has is retired, and used.                                 [IMF-2]
void ImageFile::TakeOlder(const Tree& older, std::vector<FileExtent>& used) {
  retired_ = Without(older.Extents(), used);
  std::vector<FileExtent> both;
  std::merge(used.begin(), used.end(), retired_.begin(), retired_.end(), std::back_inserter(both));
  if (AreDisjoint(both)) {
    used = std::move(both);
  } else {
    retired_.clear();
  }
}

// What the current superblock leads to, sorted.
std::vector<FileExtent> ImageFile::Extents() const {
  std::vector<FileExtent> extents = tree_.Extents();
  if (const std::optional<FileExtent> log = LogExtentOf(*current_)) {
    extents.insert(std::upper_bound(extents.begin(), extents.end(), *log), *log);
  }
  return extents;
}

// Takes all that the file has, until the next checkpoint: the tables of the older generation could
// not be read, and what they lead to may lie anywhere.                                    [IMF-3]
Status ImageFile::TakeAll(const std::vector<FileExtent>& used) {
  const Result<uint64_t> file_bytes = file_.SizeBytes();
  if (!file_bytes) return file_bytes.status();
  const uint64_t end = AlignUp(std::max(*file_bytes, kExtentsStart), kBlockBytes);
  const Space known(used);
  for (const auto& [run_begin, run_end] : known.free_runs()) {
    quarantined_.push_back({run_begin, run_end - run_begin});
  }
  if (end > known.end()) quarantined_.push_back({known.end(), end - known.end()});
  space_ = Space({{kExtentsStart, end - kExtentsStart}});
  return Code::kOk;
}

uint64_t ImageFile::LoadedBytes() const {
  uint64_t leaves = 0;
  for (const Table& table : tree_.tables) {
    leaves +=
        static_cast<uint64_t>(std::count_if(table.leaves.begin(), table.leaves.end(), IsPresent));
  }
  return leaves * kSubtreeBytes;
}

Status ImageFile::Load(char* frames) const {
  LeafReader reader(file_, current_->base);
  MORSEL_TRY(reader.Load(tree_, frames, progress_));
  return ReadLoggedPages(file_, current_->base, log_.pages(),
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
  LeafReader reader(file_, current_->base);
  MORSEL_TRY(reader.LoadIntact(tree_, frames, lose, progress_));
  MORSEL_TRY(ReadLoggedPages(file_, current_->base, log_.pages(),
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
  LeafReader reader(file_, current_->base);
  MORSEL_TRY(reader.Verify(tree_, what, report, progress_));
  std::map<uint64_t, std::string> messages;
  MORSEL_TRY(ReadLoggedPages(file_, current_->base, log_.pages(),
                             [&](uint64_t page, const char*, Status status) {
                               if (!status.ok()) messages.emplace(page, LastError());
                               return Status();
                             }));
  uint64_t last = ~uint64_t{0};
  for (const auto& [page, message] : messages) {
    if (page / kPagesPerLeaf != last) report(message.c_str());
    last = page / kPagesPerLeaf;
  }
  return Code::kOk;
}

}  // namespace morsel::image
