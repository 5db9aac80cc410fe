// The export of morsels as images, and their import.
#include "base/error.h"
#include "image/image_file.h"
#include "morsel/open/open_options.h"
#include "morsel/open/open_pool.h"
#include "morsel/pool/image_file_at.h"
#include "os/file/directory.h"

namespace morsel {

Status OpenPool::Export(const char* name, const char* path, const ExportRequest& options) {
  MORSEL_TRY(MayUse());
  MORSEL_TRY(CheckKnownName(name));
  const Result<os::SplitPath> split = os::SplitAtNewName(path);
  if (!split) return split.status();
  const Result<os::Directory> to = os::Directory::Open(calls_, split->directory);
  if (!to) return to.status();
  MORSEL_TRY(to->CheckNone(split->name));
  {
    // An error is no reason to fail: temporary files of other users may not be ours to remove.
    const KeepLastError keep;
    (void)to->RemoveTemporaries();
  }
  std::unique_lock held(mutex_);
  Entry* open = WaitFor(name, held);
  if (open == nullptr) {
    // A fine morsel is mapped at its address to be read; an image is read as other processes do.
    held.unlock();
    const Result<CatalogRecord> record = pool_->Find(name);
    if (!record) return record.status();
    if (record->contract != Contract::kFine) return pool_->Export(name, *to, split->name, options);
    held.lock();
    open = WaitFor(name, held);
  }
  if (open == nullptr) {
    return WhileTaken(name, held,
                      [&](Entry&) { return pool_->Export(name, *to, split->name, options); });
  }
  if (open->is_salvaged) {
    return Fail(Code::kBusy,
                "%s is open with MORSEL_SALVAGE, and what is damaged of it is zero there: write "
                "what is intact as an image (morsel_salvage), or close it",
                open->morsel->label().c_str());
  }
  const Use use(*this, *open);
  held.unlock();
  return use.morsel()->Export(*to, split->name, options);
}

Status OpenPool::Import(const char* path, const char* name, const image::Progress& progress) {
  MORSEL_TRY(MayUse());
  const Result<os::SplitPath> split = os::SplitAtName(path);
  if (!split) return split.status();
  if (name == nullptr) name = split->name.c_str();
  MORSEL_TRY(CheckMorselName(name));
  if (pool_->read_only()) {
    return Fail(Code::kPermission,
                "'%s' cannot be imported: pool '%s' is open for reading only; open it for writing",
                path, pool_->path().c_str());
  }
  Result<image::ImageFile> image = OpenImageAt(calls_, path);
  if (!image) return image.status();
  image->set_progress(progress);
  std::unique_lock held(mutex_);
  if (WaitFor(name, held) != nullptr) {
    return Fail(Code::kExists,
                "pool '%s' has a morsel '%s' already, which is open; choose another name for what "
                "is imported (morselctl import --as), or remove that one",
                pool_->path().c_str(), name);
  }
  return WhileTaken(name, held, [&](Entry&) { return pool_->Import(name, *image); });
}

}  // namespace morsel
