// What a directory pool's target does with morsels that are made anew: they move, and backups take
// their place.
#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "base/units.h"
#include "image/image_file.h"
#include "morsel/pool/image_record.h"
#include "morsel/rebase/moved_heap.h"
#include "morsel/rebase/moved_words.h"
#include "tests/disk/pool_target.h"

namespace morsel::sim {
namespace {

using image::ImageFile;
using os::File;

/// From one of a morsel's addresses to the other, and back.
constexpr uint64_t kOtherBaseBit = 64 * kGiantBytes;

Result<CatalogRecord> RecordAt(os::SystemCalls& calls, const std::string& path) {
  Result<CatalogRecord> record = RecordOfImageAt(calls, path);
  if (record) record->name = std::string(PoolTarget::kMorsel);
  return record;
}

// Who copies an image first looks for damage, and what cannot be read counts as that.
std::string JudgeCopying(const FileWorld& world, const Status& status, const char* tried) {
  const bool is_unread = status.code() == Code::kCorrupt &&
                         std::string_view(LastError()).find(": reading ") != std::string_view::npos;
  return world.may_fail() && is_unread ? "" : Judge(world, status, tried);
}

}  // namespace

std::string PoolTarget::StateWhenMoved(FileWorld& world, uint64_t base) {
  os::SystemCalls& calls = world.files().observer();
  const std::string path = PathOfImage(world, kMorsel);
  const Result<CatalogRecord> record = RecordAt(calls, path);
  Result<File> file = File::Open(calls, AT_FDCWD, path, O_RDONLY, 0, path);
  if (!record || !file) return {};
  const Result<ImageFile> image = ImageFile::Open(std::move(*file), true);
  const std::unique_ptr<char, decltype(&std::free)> memory(
      static_cast<char*>(std::aligned_alloc(kSubtreeBytes, record->size_bytes)), &std::free);
  std::fill_n(memory.get(), record->size_bytes, '\0');
  if (!image || !image->Load(memory.get()).ok()) return {};
  const Move move = {record->base, record->capacity_bytes, base, record->capacity_bytes, 0};
  {
    const auto heap = OpenCopy(memory.get(), *record);
    if (!heap || !MoveWords(**heap, move, {}, [](const Doubt&) {})) return {};
  }
  MoveTables(memory.get(), move, record->id);
  return StateOf(memory.get(), record->size_bytes);
}

std::string PoolTarget::MoveMorsel(FileWorld& world) {
  const std::string state = StateOfImage(world, kMorsel);
  const Result<CatalogRecord> record =
      RecordAt(world.files().observer(), PathOfImage(world, kMorsel));
  if (!record) return "the morsel cannot be read";
  const uint64_t base = record->base ^ kOtherBaseBit;
  const std::string moved = StateWhenMoved(world, base);
  if (moved.empty()) return "the morsel cannot be moved in memory";
  if (const auto value = values_.find(state); value != values_.end()) {
    values_[moved] = value->second;
  }
  world.Begin(kMorsel, moved);
  Rebasing rebasing;
  rebasing.base = base;
  const Result<Rebased> done = pool_->Rebase(kMorsel, rebasing);
  if (!done) {
    const Status status = done.status();
    // A copy of it as it was may be there.
    return status.code() == Code::kAddressTaken ? "" : Judge(world, status, "moving");
  }
  if (const std::string is = StateOfImage(world, kMorsel); is != moved) {
    return "the image holds " + is + " where " + moved + " was due";
  }
  world.Settle(kMorsel, moved);
  return {};
}

std::string PoolTarget::MakeBackup(FileWorld& world) {
  const std::string state = StateOfImage(world, kMorsel);
  world.Begin(kBackup, state);
  const Status exported = pool_->Export(kMorsel, PathOfImage(world, kBackup).c_str());
  if (exported.ok()) world.Settle(kBackup, state);
  return JudgeCopying(world, exported, "exporting");
}

std::string PoolTarget::PutBackupInPlace(FileWorld& world) {
  const std::string state = StateOfImage(world, kBackup);
  world.Begin(kMorsel, state);
  OpenPool::Importing importing;
  importing.replaces = true;
  const Result<Rebased> done =
      pool_->Import(PathOfImage(world, kBackup).c_str(), kMorsel, importing);
  if (!done) {
    const Status status = done.status();
    return status.code() == Code::kAddressTaken ? "" : JudgeCopying(world, status, "restoring");
  }
  if (const std::string is = StateOfImage(world, kMorsel); is != state) {
    return "the image holds " + is + " where the backup has " + state;
  }
  world.Settle(kMorsel, state);
  return {};
}

}  // namespace morsel::sim
