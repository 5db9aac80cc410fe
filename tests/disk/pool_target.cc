#include "tests/disk/pool_target.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/units.h"
#include "image/image_file.h"
#include "os/file/directory.h"

namespace morsel::sim {
namespace {

using image::ImageFile;
using os::Directory;
using os::File;

constexpr char kPool[] = "pool";
constexpr char kDirectory[] = "pool";
constexpr char kPresent[] = "present";
/// A subject that is there while a morsel gets another name: then it has one of the two.
constexpr char kRenaming[] = "renaming";
constexpr char kRoot[] = "value";
constexpr uint64_t kCapacityBytes = 2 * kSubtreeBytes;

// As cp(1) does it: nothing is synced.
bool CopyFile(os::SystemCalls& calls, const std::string& from, const std::string& to) {
  const Result<File> source = File::Open(calls, AT_FDCWD, from, O_RDONLY, 0, from);
  const Result<File> copy = File::Open(calls, AT_FDCWD, to, O_RDWR | O_CREAT | O_EXCL, 0600, to);
  const Result<uint64_t> size_bytes = source ? source->SizeBytes() : source.status();
  if (!copy || !size_bytes) return false;
  std::string bytes(kMiB, '\0');
  for (uint64_t offset = 0; offset < *size_bytes; offset += bytes.size()) {
    const uint64_t part = std::min<uint64_t>(bytes.size(), *size_bytes - offset);
    if (!source->ReadExactly(bytes.data(), part, offset).ok()) return false;
    if (!copy->WriteAll(bytes.data(), part, offset).ok()) return false;
  }
  return true;
}

}  // namespace

std::string PoolTarget::NameOf(uint32_t operation) const {
  static constexpr const char* kNames[] = {
      "checkpoint", "resize", "close",  "discard", "remove", "reopen the pool",
      "other",      "copy",   "rename", "move",    "backup"};
  return kNames[operation];
}

const Node* PoolTarget::FileOf(const FileWorld& world, const std::string& name) {
  const std::string folder = name == kBackup ? "" : std::string(kDirectory) + "/";
  return world.disk().NodeAt(folder + name);
}

// The same bytes are read once, unless it is asked what is read.
std::string PoolTarget::StateOfImage(FileWorld& world, const std::string& name) {
  const Node* const file = FileOf(world, name);
  if (file == nullptr) return kAbsent;
  const auto [known, is_new] = states_.try_emplace(file->visible.content.Hash());
  if (is_new || reads_all_) {
    known->second = ReadState(world.files().observer(), PathOfImage(world, name));
  }
  return known->second;
}

std::string PoolTarget::ReadState(os::SystemCalls& calls, const std::string& path) {
  Result<File> file = File::Open(calls, AT_FDCWD, path, O_RDONLY, 0, path);
  if (!file) return kDamaged;
  const Result<ImageFile> image = ImageFile::Open(std::move(*file), true);
  if (!image) return kDamaged;
  std::string memory(image->info().size_bytes, '\0');
  if (!image->Load(memory.data()).ok()) return kDamaged;
  return StateOf(memory.data(), memory.size());
}

std::string PoolTarget::PathOf(const FileWorld& world) { return world.root() + "/" + kDirectory; }

std::string PoolTarget::PathOfImage(const FileWorld& world, const std::string& name) {
  return (name == kBackup ? world.root() : PathOf(world)) + "/" + name;
}

std::string PoolTarget::Recover(FileWorld& world) {
  std::string wrong = OpenPoolOf(world, false);
  // Where all crashes of recovery are tried the morsel's own recovery is among it; else a life
  // goes on with that.
  if (!wrong.empty() || !reads_all_ || pool_ == nullptr) return wrong;
  if (FileOf(world, kMorsel) == nullptr) return {};
  wrong = OpenMorselOf(world, kMorsel, &morsel_);
  return wrong.empty() && morsel_ != nullptr ? JudgeRoot() : wrong;
}

std::string PoolTarget::OpenPoolOf(FileWorld& world, bool create) {
  Forget();
  morsel_pool_options options{};
  options.flags = create ? MORSEL_CREATE : 0;
  if (create) world.Begin(kPool, kPresent);
  auto pool = OpenPool::Open(PathOf(world).c_str(), &options, world.files());
  if (!pool && pool.error() == Code::kNotFound && !create) {
    return world.promises().Allows(kPool, kAbsent) ? "" : "the pool is not there";
  }
  if (!pool) return Judge(world, pool.status(), "opening the pool");
  pool_ = std::move(*pool);
  world.Settle(kPool, kPresent);
  if (std::string wrong = JudgeNames(world); !wrong.empty()) return wrong;
  for (const char* const name : {kMorsel, kOtherMorsel, kBackup}) {
    if (std::string wrong = LookAt(world, name); !wrong.empty()) return wrong;
  }
  return world.may_fail() ? "" : LookForTemporaries(world);
}

// What a pool that is open for writing shows is durable as far as names go.
std::string PoolTarget::LookAt(FileWorld& world, const std::string& name) {
  // Where anything will do nothing needs to be read.
  const bool anything_will_do =
      FileOf(world, name) != nullptr && world.promises().Allows(name, kDamaged);
  const std::string state = anything_will_do ? kDamaged : StateOfImage(world, name);
  if (!world.promises().Allows(name, state)) return "'" + name + "' holds " + state;
  // No pool syncs the name of what lies beside it.
  if (name == kBackup) return {};
  if (state == kAbsent) {
    world.Settle(name, kAbsent);
  } else {
    world.Exclude(name, kAbsent);
  }
  return {};
}

std::string PoolTarget::LookForTemporaries(FileWorld& world) const {
  const Result<Directory> directory = Directory::Open(os::KernelCalls(), PathOf(world));
  if (!directory) return "the pool's directory cannot be opened";
  const auto names = directory->Names();
  if (!names) return "the pool's directory cannot be read";
  for (const std::string& name : *names) {
    if (name.rfind(os::kTemporaryPrefix, 0) == 0) return "'" + name + "' was left";
  }
  return {};
}

std::string PoolTarget::OpenMorselOf(FileWorld& world, const std::string& name,
                                     OpenMorsel** morsel) {
  const bool is_there = FileOf(world, name) != nullptr;
  morsel_options options{};
  options.flags = MORSEL_CREATE;
  options.size_bytes = kSubtreeBytes;
  options.capacity_bytes = kCapacityBytes;
  if (!is_there) world.Begin(name, kNew);
  const auto opened = pool_->OpenMorselNamed(name.c_str(), &options);
  if (!opened) return Judge(world, opened.status(), "opening the morsel");
  *morsel = *opened;
  const std::string state = StateOfImage(world, name);
  if (!world.promises().Allows(name, state)) return "'" + name + "' was opened as " + state;
  world.Settle(name, state);
  return {};
}

std::string PoolTarget::JudgeRoot() {
  const std::string state =
      StateOf(static_cast<const char*>(morsel_->base()), morsel_->size_bytes());
  const Result<void*> root = morsel_->Root(kRoot);
  const auto due = values_.find(state);
  if (due == values_.end()) return {};
  if (!root) return "the root is not there";
  return *static_cast<uint64_t*>(*root) == due->second ? "" : "the root's object is another";
}

// A program's doing between two checkpoints.
void PoolTarget::Change(FileWorld& world) {
  Result<void*> root = morsel_->Root(kRoot);
  if (!root) {
    root = morsel_->heap().Allocate(sizeof(uint64_t), 16);
    if (!root || !morsel_->SetRoot(kRoot, *root).ok()) return;
  }
  *static_cast<uint64_t*>(*root) = world.random()();
  const Result<void*> block = morsel_->heap().Allocate(64 + world.random()() % 10'000, 16);
  if (block) std::memset(*block, 'x', 64);
}

std::string PoolTarget::Checkpoint(FileWorld& world, bool closes) {
  // A checkpoint takes back what threads hold ahead, which is in the bits: first, so that what is
  // stored is known before.
  { const auto stopped = morsel_->heap().StopTheWorld(); }
  const std::string state =
      StateOf(static_cast<const char*>(morsel_->base()), morsel_->size_bytes());
  if (const Result<void*> root = morsel_->Root(kRoot)) {
    values_[state] = *static_cast<uint64_t*>(*root);
  }
  world.Begin(kMorsel, state);
  const Status done = closes ? pool_->Close(morsel_, false) : morsel_->Checkpoint();
  if (!done.ok()) return Judge(world, done, "the checkpoint");
  if (closes) morsel_ = nullptr;
  if (const std::string is = StateOfImage(world, kMorsel); is != state) {
    return "the image holds " + is + " where " + state + " was stored";
  }
  world.Settle(kMorsel, state);
  return {};
}

std::string PoolTarget::Resize(FileWorld& world) {
  const bool is_small = morsel_->size_bytes() == kSubtreeBytes;
  const Status resized = morsel_->Resize(is_small ? kCapacityBytes : kSubtreeBytes);
  if (!resized.ok() && resized.code() != Code::kBusy) return Judge(world, resized, "resizing");
  return Checkpoint(world, false);
}

std::string PoolTarget::Close(FileWorld& world, bool discards) {
  if (!discards) {
    std::string wrong = Checkpoint(world, true);
    // It stays open, and is given up.
    if (!wrong.empty() || morsel_ == nullptr) return wrong;
  }
  const Status closed = pool_->Close(morsel_, true);
  morsel_ = nullptr;
  return Judge(world, closed, "discarding");
}

std::string PoolTarget::Remove(FileWorld& world, const std::string& name) {
  if (FileOf(world, name) == nullptr) return {};
  world.Begin(name, kAbsent);
  if (StateOfImage(world, name) == kDamaged) {
    // A copy that a crash cut short: nothing that a pool removes.
    (void)world.files().UnlinkAt(AT_FDCWD, (PathOf(world) + "/" + name).c_str(), 0);
    return {};
  }
  const Status removed = pool_->Remove(name.c_str());
  if (!removed.ok()) return Judge(world, removed, "removing");
  world.Settle(name, kAbsent);
  return {};
}

std::string PoolTarget::MakeOrRemoveOther(FileWorld& world) {
  if (FileOf(world, kOtherMorsel) != nullptr) return Remove(world, kOtherMorsel);
  OpenMorsel* other = nullptr;
  std::string wrong = OpenMorselOf(world, kOtherMorsel, &other);
  if (!wrong.empty() || other == nullptr) return wrong;
  return Judge(world, pool_->Close(other, true), "discarding");
}

// At the same address: the two are never open at a time.
std::string PoolTarget::CopyToOther(FileWorld& world) {
  if (morsel_ != nullptr) {
    if (std::string wrong = Close(world, true); !wrong.empty() || morsel_ != nullptr) return wrong;
  }
  const std::string state = StateOfImage(world, kMorsel);
  if (state == kAbsent || FileOf(world, kOtherMorsel) != nullptr) return {};
  world.Begin(kOtherMorsel, kNew);
  const std::string path = PathOf(world) + "/";
  if (!CopyFile(world.files(), path + kMorsel, path + kOtherMorsel)) {
    return world.may_fail() ? "" : "the file cannot be copied";
  }
  const auto opened = pool_->OpenMorselNamed(kOtherMorsel, nullptr);
  if (!opened) return Judge(world, opened.status(), "opening the copy");
  if (StateOfImage(world, kOtherMorsel) != state) return "the copy holds something else";
  world.Settle(kOtherMorsel, state);
  return Judge(world, pool_->Close(*opened, true), "discarding");
}

std::string PoolTarget::Rename(FileWorld& world) {
  if (morsel_ != nullptr) {
    if (std::string wrong = Close(world, true); !wrong.empty() || morsel_ != nullptr) return wrong;
  }
  const bool is_first = FileOf(world, kMorsel) != nullptr;
  const bool is_second = FileOf(world, kOtherMorsel) != nullptr;
  if (is_first == is_second) return {};
  const char* const from = is_first ? kMorsel : kOtherMorsel;
  const char* const to = is_first ? kOtherMorsel : kMorsel;
  const std::string state = StateOfImage(world, from);
  // A copy that a crash cut short is nothing that a pool renames.
  if (state == kDamaged) return {};
  // A checkpoint that failed may have left several.
  std::set<std::string> states = world.promises().allowed().at(from);
  states.erase(kAbsent);
  world.Begin(kRenaming, kPresent);
  world.Begin(from, kAbsent);
  for (const std::string& one : states) world.Begin(to, one);
  const Status renamed = pool_->Rename(from, to);
  if (renamed.ok()) {
    const std::set<std::string> possible = world.promises().allowed().at(to);
    for (const std::string& one : possible) {
      if (!states.contains(one)) world.Exclude(to, one);
    }
    world.Settle(from, kAbsent);
  }
  world.Settle(kRenaming, kAbsent);
  return Judge(world, renamed, "renaming");
}

// Of a morsel that was about to get another name.
std::string PoolTarget::JudgeNames(FileWorld& world) const {
  if (!world.promises().Allows(kRenaming, kPresent)) return {};
  const bool is_first = FileOf(world, kMorsel) != nullptr;
  const bool is_second = FileOf(world, kOtherMorsel) != nullptr;
  if (is_first == is_second) return is_first ? "it has both names" : "it has neither name";
  world.Settle(kRenaming, kAbsent);
  return {};
}

std::string PoolTarget::Run(uint32_t operation, FileWorld& world) {
  if (operation == kReopen || pool_ == nullptr) {
    std::string wrong = OpenPoolOf(world, true);
    if (!wrong.empty() || pool_ == nullptr || operation == kReopen) return wrong;
  }
  if (operation == kOther) return MakeOrRemoveOther(world);
  if (operation == kCopy) return CopyToOther(world);
  if (operation == kRename) return Rename(world);
  if (operation == kMove || operation == kRestore) {
    if (morsel_ != nullptr) {
      if (std::string wrong = Close(world, true); !wrong.empty() || morsel_ != nullptr)
        return wrong;
    }
    const std::string state = StateOfImage(world, kMorsel);
    if (state == kAbsent || state == kDamaged) return {};
    if (operation == kMove) return MoveMorsel(world);
    return FileOf(world, kBackup) == nullptr ? MakeBackup(world) : PutBackupInPlace(world);
  }
  if (operation == kRemove) {
    if (morsel_ != nullptr) {
      if (std::string wrong = Close(world, true); !wrong.empty()) return wrong;
    }
    return Remove(world, kMorsel);
  }
  if (morsel_ == nullptr) {
    std::string wrong = OpenMorselOf(world, kMorsel, &morsel_);
    if (!wrong.empty() || morsel_ == nullptr) return wrong;
    if (wrong = JudgeRoot(); !wrong.empty()) return wrong;
  }
  if (operation == kDiscard || operation == kClose) Change(world);
  if (operation == kDiscard || operation == kClose) return Close(world, operation == kDiscard);
  Change(world);
  return operation == kResize ? Resize(world) : Checkpoint(world, false);
}

void PoolTarget::Forget() {
  morsel_ = nullptr;
  pool_.reset();
}

}  // namespace morsel::sim
