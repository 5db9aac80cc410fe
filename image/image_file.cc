#include "image/image_file.h"

#include <algorithm>
#include <cerrno>
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

uint64_t BytesOf(const std::vector<FileExtent>& extents) {
  uint64_t bytes = 0;
  for (const FileExtent& extent : extents) bytes += extent.size_bytes;
  return bytes;
}

bool AreDisjoint(const std::vector<FileExtent>& sorted) {
  for (size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i].offset < sorted[i - 1].end()) return false;
  }
  return true;
}

}  // namespace

ImageInfo ImageFile::info() const { return InfoOf(*current_); }

Result<ImageInfo> ImageFile::Peek(const os::File& file) {
  const Result<ImageSuperblocks> superblocks = ReadSuperblocks(file);
  if (!superblocks) return superblocks.status();
  return InfoOf(*superblocks->current);
}

Result<ImageFile> ImageFile::Create(const os::Directory& directory, const std::string& name,
                                    mode_t mode, const ImageInfo& info, const char* frames,
                                    const os::PageFilter* touched, const Progress& progress,
                                    os::Naming naming) {
  const Source source = {frames, info.size_bytes, nullptr, touched};
  return Make(directory, name, mode, info, source, progress, naming);
}

Result<ImageFile> ImageFile::CreateFrom(LeafSource& leaves, const os::Directory& directory,
                                        const std::string& name, mode_t mode, const ImageInfo& info,
                                        const Progress& progress) {
  const Source source = {nullptr, info.size_bytes, nullptr, nullptr, &leaves};
  return Make(directory, name, mode, info, source, progress);
}

Result<ImageFile> ImageFile::Make(const os::Directory& directory, const std::string& name,
                                  mode_t mode, const ImageInfo& info, const Source& source,
                                  const Progress& progress, os::Naming naming) {
  Result<os::TemporaryFile> temporary = directory.MakeTemporary(name, mode);
  if (!temporary) return temporary.status();
  ImageFile image(std::move(temporary->file), SuperblockOf(info));
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
  const Result<ImageSuperblocks> superblocks = ReadSuperblocks(file);
  if (!superblocks) return superblocks.status();
  Result<Tree> tree = ReadTree(file, *superblocks->current);
  if (!tree) return OrOverwritten(file, *superblocks->current, tree.status());
  ImageFile image(std::move(file), superblocks->current);
  image.tree_ = std::move(*tree);
  image.read_only_ = read_only;
  if (read_only) return image;
  MORSEL_TRY(MayWrite(image.file_, *image.current_));
  MORSEL_TRY(image.left_.Take(image.file_));
  MORSEL_TRY(image.TakeSpace(superblocks->older));
  image.left_.TakeLength(image.file_);
  return image;
}

Result<ImageFile> ImageFile::OpenIntact(os::File file, const Damaged& damaged) {
  const Result<ImageSuperblocks> superblocks = ReadSuperblocks(file);
  if (!superblocks) return superblocks.status();
  Result<Tree> tree = ReadIntact(file, *superblocks->current, damaged);
  if (!tree) return OrOverwritten(file, *superblocks->current, tree.status());
  ImageFile image(std::move(file), superblocks->current);
  image.tree_ = std::move(*tree);
  image.read_only_ = true;
  return image;
}

// Finds out what is free. To be called before anything else is written.
Status ImageFile::TakeSpace(const std::optional<OnHeap<ImageSuperblock>>& older) {
  // ORDER  the superblock that was found, synced  <  every other write
  // WHY    after a sync that failed it may be in the cache only. The newest on the medium is then
  //        the one it replaced, whose extents would be written over.                       [IMG-1]
  // CRASH  before: either of the two is found again. After: the medium has the one found here.
  // TEST   image/crash_test: OpeningMakesTheSuperblockDurableFirst
  Status status = WriteSuperblock(file_, *current_);
  if (status.ok()) status = file_.Sync();
  if (!status.ok()) {
    return Fail(status.code(), "%s; the image can only be opened read-only", LastError());
  }

  may_find_another_ = false;
  std::vector<FileExtent> used = tree_.Extents();
  if (older.has_value()) {
    // The older superblock protects what it leads to. If its tables are damaged, it leads nowhere.
    const Result<Tree> older_tree = ReadTree(file_, **older);
    if (older_tree) {
      retired_ = Without(older_tree->Extents(), used);
      std::vector<FileExtent> both;
      std::merge(used.begin(), used.end(), retired_.begin(), retired_.end(),
                 std::back_inserter(both));
      if (AreDisjoint(both)) {
        used = std::move(both);
      } else {
        retired_.clear();
      }
    } else if (older_tree.error() != Code::kCorrupt) {
      return TakeAll(used);
    }
  }
  space_ = Space(used);
  spare_.Find(file_, space_);
  return Code::kOk;
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
  return reader.Load(tree_, frames, progress_);
}

Status ImageFile::LoadIntact(char* frames, const Damaged& damaged) const {
  // Sorted by position. If several pages of a leaf are damaged, the first failure is enough.
  std::map<SubtreePosition, std::pair<Code, std::string>> lost;
  LeafReader reader(file_, current_->base);
  MORSEL_TRY(reader.LoadIntact(
      tree_, frames,
      [&](SubtreePosition position, Status status) {
        lost.try_emplace(position, status.code(), LastError());
        return Status();
      },
      progress_));
  for (const auto& [position, failure] : lost) {
    std::memset(frames + position.value() * kSubtreeBytes, 0, kSubtreeBytes);
    MORSEL_TRY(damaged(Fail(failure.first, "%s", failure.second.c_str())));
  }
  return Code::kOk;
}

Status ImageFile::Verify(const std::function<void(const char*)>& report, Verified what) const {
  LeafReader reader(file_, current_->base);
  return reader.Verify(tree_, what, report, progress_);
}

Status ImageFile::Store(const char* frames, uint64_t size_bytes, uint64_t live_bytes,
                        const os::PageSet* dirty, const os::PageFilter* touched) {
  return Store({frames, size_bytes, dirty, touched}, live_bytes);
}

Status ImageFile::Store(const Source& source, uint64_t live_bytes) {
  MORSEL_CHECK(!read_only_);
  if (poisoned_) return Poisoned();
  // Before a byte is written: what is free is free in this writer's file only.             [IMF-1]
  if (current_->generation != 0) MORSEL_TRY(left_.Check(file_));
  const Status stored = StoreNext(source, live_bytes);
  left_.TakeLength(file_);
  return stored;
}

Status ImageFile::StoreNext(const Source& source, uint64_t live_bytes) {
  const uint64_t size_bytes = source.size_bytes;
  MORSEL_CHECK(size_bytes % kSubtreeBytes == 0 && size_bytes <= current_->capacity_bytes);
  TreeWriter writer(file_, space_, tree_, current_->generation + 1, current_->codec,
                    compact_bytes_);
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
  next->live_bytes = std::min(live_bytes, size_bytes);
  // Where a morsel is at home its file has the name.
  if (current_->generation != 0) SetCarriedName(*next, "");
  next->root = tree->root;
  std::fill(std::begin(next->lists), std::end(next->lists), PatchList{});
  std::copy(tree->lists.begin(), tree->lists.end(), next->lists);
  const bool is_same = std::memcmp(&*next, &*current_, sizeof *next) == 0;
  if (is_same && writer.written().empty() && !may_find_another_) {
    meter.Finish();
    return Code::kOk;
  }
  next->generation = current_->generation + 1;
  MORSEL_TRY(Publish(*next, writer.written()));
  compact_bytes_ = writer.left_for_compacting();
  Accept(std::move(next), std::move(*tree));
  spare_.Return(file_, space_, BytesOf(writer.written()));
  meter.Finish();
  return Code::kOk;
}

Status ImageFile::Publish(const ImageSuperblock& next, const std::vector<FileExtent>& written) {
  // ORDER  tables and leaves, synced  <  superblock
  // WHY    if a superblock leads to bytes that are not there, the morsel is lost.          [IMG-1]
  // CRASH  before the superblock: the last generation. After: this one, whole.
  // TEST   image/crash_test: EveryCrashIsTheLastOrTheNextCheckpoint
  if (const Status synced = file_.Sync(); !synced.ok()) return Poison(synced, errno);
  left_.Writing(next.generation);
  if (Status status = WriteSuperblock(file_, next); !status.ok()) {
    quarantined_.insert(quarantined_.end(), written.begin(), written.end());  // [IMF-3]
    may_find_another_ = true;
    return status;
  }
  left_.Written(next);
  if (const Status synced = file_.Sync(); !synced.ok()) return Poison(synced, errno);
  return Code::kOk;
}

void ImageFile::Accept(OnHeap<ImageSuperblock> next, Tree tree) {
  // ORDER  superblock, synced  <  what only older generations have is free
  // WHY    until then the slot on the medium still leads there.                   [IMG-1] [IMF-2]
  // CRASH  before: the last generation or this one, and all that either leads to is there.
  // TEST   image/crash_test: NothingThatASuperblockLeadsToIsTouched
  std::vector<FileExtent> freed = std::move(retired_);
  freed.insert(freed.end(), quarantined_.begin(), quarantined_.end());
  quarantined_.clear();
  may_find_another_ = false;
  retired_ = ExtentsOnlyIn(tree_, tree);
  tree_ = std::move(tree);
  current_ = std::move(next);
  GiveBack(freed);
}

// Refuses every later Store(). This holds for any reason, also for one that would go away: a second
// sync that succeeds proves nothing about what the first one lost.
Status ImageFile::Poison(Status status, int error) {
  poisoned_ = true;
  if (current_->generation == 0) return status;
  return Fail(
      Code::kIo,
      "image '%s': fdatasync: %s; no checkpoint can be promised any more, and the last good "
      "one stands, or this one: discard the morsel and open it again",
      file_.path().c_str(), std::strerror(error));
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
