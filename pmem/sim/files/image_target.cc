#include "pmem/sim/files/image_target.h"

#include <fcntl.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "base/checksum.h"
#include "base/error.h"
#include "base/units.h"

namespace morsel::sim {
namespace {

using pmem::Directory;
using pmem::File;
using pmem::image::ImageFile;
using pmem::image::ImageInfo;

constexpr char kImage[] = "a";
constexpr uint64_t kSubtreesMax = 3;
/// An address that nothing is mapped at: an image does not care.
constexpr uint64_t kBase = 0x100100000000;

bool IsTroubleOfTheWorld(Code code) {
  return code == Code::kIo || code == Code::kNoSpace || code == Code::kPermission;
}

// What a failure says, unless one was due.
std::string Judge(const FileWorld& world, Code code, const char* tried) {
  if (code == Code::kOk || (world.may_fail() && IsTroubleOfTheWorld(code))) return {};
  return std::string(tried) + " failed, " + CodeName(code) + ": " + LastError();
}

}  // namespace

std::string StateOf(const char* memory, uint64_t size_bytes) {
  // Most of it is zero, and that is seen sooner than hashed.
  static constexpr char kZeros[kPageBytes] = {};
  std::string words;
  for (uint64_t at = 0; at < size_bytes; at += kPageBytes) {
    if (std::memcmp(memory + at, kZeros, kPageBytes) == 0) continue;
    const Sum128 page = Checksum128(memory + at, kPageBytes);
    for (const uint64_t word : {at, page.low, page.high}) words += std::to_string(word) + " ";
  }
  const Sum128 sum = Checksum128(words.data(), words.size());
  char text[64];
  std::snprintf(text, sizeof text, "%" PRIu64 " MiB %016" PRIx64 "%016" PRIx64, size_bytes / kMiB,
                sum.high, sum.low);
  return text;
}

std::string ImageTarget::NameOf(uint32_t operation) const {
  static constexpr const char* kNames[] = {"touch", "zero", "grow", "shrink", "reopen", "remove"};
  return kNames[operation];
}

std::string ImageTarget::Recover(FileWorld& world) {
  Result<Directory> directory = Directory::Open(world.files(), world.root());
  if (!directory) return Judge(world, directory.error(), "opening the directory");
  directory_ = std::move(*directory);
  Status status = directory_->RemoveTemporaries();
  if (status.ok()) status = directory_->Sync();
  if (!status.ok()) return Judge(world, status.code(), "taking the directory up");
  const Result<std::vector<std::string>> names = directory_->Names();
  if (!names) return Judge(world, names.error(), "reading the directory");
  for (const std::string& name : *names) {
    const bool is_temporary = name.rfind(pmem::kTemporaryPrefix, 0) == 0;
    if (is_temporary && !world.may_fail()) return "the temporary '" + name + "' was left";
  }
  return OpenImage(world);
}

std::string ImageTarget::OpenImage(FileWorld& world) {
  image_.reset();
  memory_.clear();
  if (!directory_) return {};
  Result<File> file = directory_->OpenFile(kImage, O_RDWR);
  if (!file && file.error() == Code::kNotFound) {
    if (!world.promises().Allows(kImage, kAbsent)) return "the image is not there";
    world.Settle(kImage, kAbsent);
    return {};
  }
  if (!file) return Judge(world, file.error(), "opening the file");
  Result<ImageFile> image = ImageFile::Open(std::move(*file), false);
  if (!image) return Judge(world, image.error(), "opening the image");
  std::string memory(image->info().size_bytes, '\0');
  const Status loaded = image->Load(memory.data());
  if (!loaded.ok()) return Judge(world, loaded.code(), "loading the image");
  const std::string state = StateOf(memory.data(), memory.size());
  if (!world.promises().Allows(kImage, state)) return "the image holds " + state;
  world.Settle(kImage, state);
  image_ = std::move(*image);
  memory_ = std::move(memory);
  return {};
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
  Result<ImageFile> image = ImageFile::Create(*directory_, kImage, 0640, info, memory_.data());
  if (!image) return Judge(world, image.error(), "making the image");
  world.Settle(kImage, state);
  image_ = std::move(*image);
  return {};
}

std::string ImageTarget::Remove(FileWorld& world) {
  image_.reset();
  world.Begin(kImage, kAbsent);
  const Status removed = directory_->Remove(kImage);
  if (removed.ok() || removed.code() == Code::kNotFound) {
    if (removed.ok()) world.Settle(kImage, kAbsent);
    return {};
  }
  return Judge(world, removed.code(), "removing the image");
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
  const Status stored = image_->Store(memory_.data(), memory_.size(), 0);
  if (!stored.ok()) return Judge(world, stored.code(), "storing the image");
  world.Settle(kImage, state);
  return {};
}

std::string ImageTarget::Run(uint32_t operation, FileWorld& world) {
  if (!directory_) return {};
  if (operation == kReopen) return OpenImage(world);
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
