// Morsels at another address: moved, copied, imported.
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/overtaken.h"
#include "image/image_file.h"
#include "morsel/open/open_options.h"
#include "morsel/open/open_pool.h"
#include "morsel/pool/image_file_at.h"
#include "morsel/pool/image_record.h"
#include "morsel/pool/morsel_bytes.h"
#include "morsel/pool/while_overtaken.h"
#include "os/file/directory.h"

namespace morsel {

Status OpenPool::MayMake(const char* name, const char* how) {
  if (!pool_->read_only()) return Code::kOk;
  return Fail(Code::kPermission,
              "morsel '%s' cannot be %s: pool '%s' is open for reading only; open it for writing",
              name, how, pool_->path().c_str());
}

Result<Rebased> OpenPool::Rebase(const char* name, const Rebasing& rebasing) {
  MORSEL_TRY(MayUse());
  MORSEL_TRY(CheckKnownName(name));
  if (!rebasing.is_dry) MORSEL_TRY(MayMake(name, "moved"));
  Rebased done;
  MORSEL_TRY(WhileClosed(name, [&]() -> Status {
    const bool keep = !rebasing.is_dry;
    if (keep) MORSEL_TRY(IsClosedElsewhere(name, "moving"));
    return WhileOvertaken(kLetItRest, [&]() -> Status {
      const Result<std::unique_ptr<MorselBytes>> bytes = pool_->BytesOf(name, keep);
      if (!bytes) return bytes.status();
      Result<Rebased> made =
          MakeRebased(*pool_, **bytes, {.name = name, .replaces = true, .is_kept = true}, rebasing);
      if (made) done = std::move(*made);
      return made.status();
    });
  }));
  return done;
}

Result<Rebased> OpenPool::CopyMorsel(const char* name, const char* to, const Rebasing& rebasing) {
  MORSEL_TRY(MayUse());
  MORSEL_TRY(CheckKnownName(name));
  MORSEL_TRY(CheckMorselName(to));
  if (!rebasing.is_dry) MORSEL_TRY(MayMake(to, "made"));
  if (std::strcmp(name, to) == 0) {
    return Fail(Code::kExists,
                "morsel '%s' of pool '%s' has that name; choose another for the copy", name,
                pool_->path().c_str());
  }
  Rebased done;
  MORSEL_TRY(WhileBothClosed(name, to, "copying", [&] {
    return WhileOvertaken(kLetItRest, [&]() -> Status {
      const Result<std::unique_ptr<MorselBytes>> bytes = pool_->BytesOf(name, /*keep=*/false);
      if (!bytes) return bytes.status();
      Result<Rebased> made =
          MakeRebased(*pool_, **bytes, {.name = to, .has_new_id = true}, rebasing);
      if (made) done = std::move(*made);
      return made.status();
    });
  }));
  return done;
}

namespace {

// The name of a morsel that is made of the image, if nobody says one.
std::string NameFor(const image::ImageInfo& info, const std::string& file_name) {
  const KeepLastError keep;
  const std::string& carried = info.carried_name;
  return CheckMorselName(carried.c_str()).ok() ? carried : file_name;
}

}  // namespace

Result<Rebased> OpenPool::Import(const char* path, const char* name, const Importing& importing) {
  MORSEL_TRY(MayUse());
  const Result<os::SplitPath> split = os::SplitAtName(path);
  if (!split) return split.status();
  if (name != nullptr) MORSEL_TRY(CheckMorselName(name));
  Result<image::ImageFile> image = OpenImageAt(calls_, path);
  if (!image) return image.status();
  const std::string chosen = name != nullptr ? name : NameFor(image->info(), split->name);
  MORSEL_TRY(CheckMorselName(chosen.c_str()));
  MORSEL_TRY(MayMake(chosen.c_str(), "imported"));
  std::unique_lock held(mutex_);
  if (WaitFor(chosen, held) != nullptr) {
    return importing.replaces
               ? Fail(Code::kBusy, "morsel '%s' of pool '%s' is open: close it before replacing it",
                      chosen.c_str(), pool_->path().c_str())
               : Fail(Code::kExists,
                      "pool '%s' has a morsel '%s' already, which is open; choose another name for "
                      "what is imported (morselctl import --as), or remove that one",
                      pool_->path().c_str(), chosen.c_str());
  }
  Rebased done;
  MORSEL_TRY(WhileTaken(chosen, held, [&](Entry&) -> Status {
    if (importing.replaces) MORSEL_TRY(IsClosedElsewhere(chosen, "replacing"));
    // It may be a morsel's file that another process writes.
    return WhileOvertaken(kLetItExport, [&]() -> Status {
      if (!image) image = OpenImageAt(calls_, path);
      if (!image) return image.status();
      image->set_progress(importing.rebasing.progress);
      Result<Rebased> made = ImportInto(chosen, *image, importing);
      if (made) done = std::move(*made);
      if (made.error() == kOvertaken) image = made.status();
      return made.status();
    });
  }));
  return done;
}

Result<Rebased> OpenPool::ImportInto(const std::string& name, const image::ImageFile& image,
                                     const Importing& importing) {
  Result<CatalogRecord> record = RecordOf(name, image.file(), image.info());
  if (!record) return record.status();
  const Rebasing& rebasing = importing.rebasing;
  if (rebasing.base == 0 && rebasing.capacity_bytes == 0) {
    const Status made = pool_->Import(name, image, importing.replaces);
    if (made.ok()) return Rebased{*record, *record};
    if (made.code() != Code::kAddressTaken || !importing.may_move) return made;
  }
  record->mode = RightsOfCopy(*record).mode;
  MORSEL_TRY(pool_->Supports(record->contract, record->giant));
  // The caller's image outlives what is made of it.
  BytesOfImage bytes(*record, {std::shared_ptr<void>(), &image});
  return MakeRebased(*pool_, bytes,
                     {.name = name, .has_new_id = true, .replaces = importing.replaces}, rebasing);
}

}  // namespace morsel
