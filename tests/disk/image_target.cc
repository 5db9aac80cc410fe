#include "tests/disk/image_target.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "base/units.h"
#include "image/format/superblock.h"
#include "image/format/tree_reader.h"
#include "image/load/leaf_reader.h"
#include "image/log/log_reader.h"

namespace morsel::sim {
namespace {

using image::ImageFile;
using image::ImageInfo;
using os::Directory;
using os::File;

constexpr char kImage[] = "a";
constexpr mode_t kMode = 0640;
constexpr uint64_t kSubtreesMax = 3;
/// An address that nothing is mapped at: an image does not care.
constexpr uint64_t kBase = 0x100100000000;

// [IMG-1] [REC-2] Of the generation before the current one, and its log: a superblock leads there,
// and a medium whose newest sector cannot be read any more is left with that.
std::string JudgeOlder(os::SystemCalls& calls, const std::string& path) {
  const Result<File> opened = File::Open(calls, AT_FDCWD, path, O_RDONLY, 0, "the image");
  if (!opened) return LastError();
  const File& file = *opened;
  const auto superblocks = image::ReadSuperblocks(file);
  if (superblocks && superblocks->doubt == image::Doubt::kDamaged) {
    return "a superblock that a power cut has torn is told as damage";
  }
  if (!superblocks || !superblocks->other) return {};
  const image::ImageSuperblock& other = **superblocks->other;
  const auto older = image::ReadTree(file, other);
  if (!older) return std::string("the generation before is damaged: ") + LastError();
  const image::Damaged refuse = [](Status status) { return status; };
  const auto log = image::ReadLog(file, other, *older, refuse);
  if (!log) return std::string("the log of the generation before is damaged: ") + LastError();
  std::string wrong;
  image::UnsettledPages elsewhere = log->pages;
  elsewhere.insert(older->listed.begin(), older->listed.end());
  image::LeafReader reader(file, kBase, elsewhere);
  (void)reader.Verify(*older, image::Verified::kAll,
                      [&](SubtreePosition, const char* sentence) { wrong = sentence; });
  (void)image::ReadUnsettledPages(file, kBase, elsewhere,
                                  [&](uint64_t, const char*, Status status) {
                                    if (!status.ok()) wrong = LastError();
                                    return Status();
                                  });
  if (!wrong.empty()) return "the generation before is damaged: " + wrong;
  // Both lead to the newest state where records can come.
  const auto newest = image::ReadTree(file, *superblocks->current);
  if (!newest) return {};
  const auto current = image::ReadLog(file, *superblocks->current, *newest, refuse);
  if (!current || current->last.size_bytes == 0) return {};
  return log->end == current->end && log->pages.size() == current->pages.size()
             ? ""
             : "there are records, and one of the slots does not lead to them";
}

std::string JudgeMode(const File& file) {
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) return "fstat failed";
  return (status.st_mode & 07777) == kMode ? "" : "the image has lost its permission bits";
}

}  // namespace

std::string ImageTarget::NameOf(uint32_t operation) const {
  static constexpr const char* kNames[] = {"touch",  "zero",   "grow",  "shrink",
                                           "reopen", "remove", "settle"};
  return kNames[operation];
}

std::string ImageTarget::Recover(FileWorld& world) {
  Result<Directory> directory = Directory::Open(world.files(), world.root());
  if (!directory) return Judge(world, directory.status(), "opening the directory");
  directory_ = std::move(*directory);
  const Status status = directory_->RemoveTemporaries();
  if (!status.ok()) return Judge(world, status, "taking the directory up");
  const Result<std::vector<std::string>> names = directory_->Names();
  if (!names) return Judge(world, names.status(), "reading the directory");
  for (const std::string& name : *names) {
    const bool is_temporary = name.rfind(os::kTemporaryPrefix, 0) == 0;
    if (is_temporary && !world.may_fail()) return "the temporary '" + name + "' was left";
  }
  return OpenImage(world);
}

// The same bytes are judged once, unless it is asked what is read.
std::string ImageTarget::OlderOf(FileWorld& world) {
  const Node* const file = world.disk().NodeAt(kImage);
  if (file == nullptr) return {};
  const auto [known, is_new] = olders_.try_emplace(file->visible.content.Hash());
  if (is_new || reads_all_) {
    known->second = JudgeOlder(world.files().observer(), world.root() + "/" + kImage);
  }
  return known->second;
}

std::string ImageTarget::OpenImage(FileWorld& world) {
  image_.reset();
  memory_.clear();
  if (!directory_) return {};
  // Names that are found may be in a cache only.
  const Status synced = directory_->Sync();
  if (!synced.ok()) return Judge(world, synced, "syncing the directory");
  Result<File> file = directory_->OpenFile(kImage, O_RDWR);
  if (!file && file.error() == Code::kNotFound) {
    if (!world.promises().Allows(kImage, kAbsent)) return "the image is not there";
    world.Settle(kImage, kAbsent);
    return {};
  }
  if (!file) return Judge(world, file.status(), "opening the file");
  for (const std::string& wrong : {JudgeMode(*file), OlderOf(world)}) {
    if (!wrong.empty() && !world.may_fail()) return wrong;
  }
  Result<ImageFile> image = ImageFile::Open(std::move(*file), false);
  if (!image) return Judge(world, image.status(), "opening the image");
  std::string memory(image->info().size_bytes, '\0');
  const Status loaded = image->Load(memory.data());
  if (!loaded.ok()) return Judge(world, loaded, "loading the image");
  const std::string state = StateOf(memory.data(), memory.size());
  if (!world.promises().Allows(kImage, state)) return "the image holds " + state;
  world.Settle(kImage, state);
  image_ = std::move(*image);
  stored_ = memory;
  memory_ = std::move(memory);
  return {};
}

// The pages that differ from what is stored.
os::PageSet ImageTarget::Dirty() const {
  os::PageSet dirty;
  for (uint64_t at = 0; at < memory_.size(); at += kPageBytes) {
    const bool is_same =
        at < stored_.size() && std::memcmp(&memory_[at], &stored_[at], kPageBytes) == 0;
    if (!is_same) dirty.Add(at, kPageBytes);
  }
  return dirty;
}

std::string ImageTarget::Create(FileWorld& world) {
  memory_.assign((1 + world.random()() % 2) * kSubtreeBytes, '\0');
  memory_[world.random()() % memory_.size()] = 1;
  ImageInfo info;
  info.id[0] = 7;
  info.base = kBase;
  info.capacity_bytes = kSubtreesMax * kSubtreeBytes;
  info.size_bytes = memory_.size();
  const std::string state = StateOf(memory_.data(), memory_.size());
  world.Begin(kImage, state);
  Result<ImageFile> image = ImageFile::Create(*directory_, kImage, kMode, info, memory_.data());
  if (!image) return Judge(world, image.status(), "making the image");
  world.Settle(kImage, state);
  image_ = std::move(*image);
  stored_ = memory_;
  return {};
}

// As close does: what the log has goes into its place.
std::string ImageTarget::Settle(FileWorld& world) {
  if (!image_ || stored_ != memory_) return {};
  return Judge(world, image_->Settle(memory_.data()), "settling");
}

std::string ImageTarget::Remove(FileWorld& world) {
  image_.reset();
  world.Begin(kImage, kAbsent);
  const Status removed = directory_->Remove(kImage);
  if (removed.ok() || removed.code() == Code::kNotFound) {
    if (removed.ok()) world.Settle(kImage, kAbsent);
    return {};
  }
  return Judge(world, removed, "removing the image");
}

void ImageTarget::Change(uint32_t operation, FileWorld& world) {
  const uint64_t subtrees = memory_.size() / kSubtreeBytes;
  const uint64_t subtree = world.random()() % subtrees;
  char* const bytes = memory_.data() + subtree * kSubtreeBytes;
  switch (operation) {
    case kTouch:
      for (int i = 0; i < 2; ++i) bytes[world.random()() % kSubtreeBytes] ^= 5;
      break;
    case kZero:
      std::memset(bytes, 0, kSubtreeBytes);
      break;
    case kGrow:
      if (subtrees < kSubtreesMax) memory_.resize(memory_.size() + kSubtreeBytes, '\0');
      memory_[memory_.size() - 1 - world.random()() % kSubtreeBytes] ^= 9;
      break;
    case kShrink:
      if (subtrees > 1) memory_.resize(memory_.size() - kSubtreeBytes);
      break;
  }
}

std::string ImageTarget::Store(FileWorld& world) {
  const std::string state = StateOf(memory_.data(), memory_.size());
  world.Begin(kImage, state);
  const os::PageSet dirty = Dirty();
  const Status stored =
      image_->Store(memory_.data(), memory_.size(), 0, has_log_ ? &dirty : nullptr);
  if (!stored.ok()) return Judge(world, stored, "storing the image");
  stored_ = memory_;
  world.Settle(kImage, state);
  return {};
}

std::string ImageTarget::Run(uint32_t operation, FileWorld& world) {
  if (!directory_) return {};
  if (operation == kReopen) return OpenImage(world);
  if (operation == kSettle) return Settle(world);
  if (operation == kRemove) return Remove(world);
  if (!image_) {
    // It may be there, and not have been opened, since a call failed.
    if (world.may_fail()) {
      if (std::string wrong = OpenImage(world); !wrong.empty()) return wrong;
    }
    if (!image_ && !world.promises().Allows(kImage, kAbsent)) return {};
    if (!image_) {
      std::string wrong = Create(world);
      if (!wrong.empty() || !image_) return wrong;
    }
  }
  Change(operation, world);
  return Store(world);
}

void ImageTarget::Forget() {
  image_.reset();
  directory_.reset();
}

}  // namespace morsel::sim
