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
  const Result<os::SplitPath> split = os::SplitAtName(path);
  if (!split) return split.status();
  const Result<os::Directory> to = os::Directory::Open(calls_, split->directory);
  if (!to) return to.status();
  MORSEL_TRY(to->CheckNone(split->name));
  {
    // An error is no reason to fail: temporary files of other users may not be ours to remove.
    const KeepLastError keep;
    (void)to->RemoveTemporaries();
  }
  std::lock_guard lock(mutex_);
  const auto open = open_.find(name);
  if (open != open_.end() && open->second.is_salvaged) {
    return Fail(Code::kBusy,
                "%s is open with MORSEL_SALVAGE, and what is damaged of it is zero there: write "
                "what is intact as an image (morsel_salvage), or close it",
                open->second.morsel->label().c_str());
  }
  return open != open_.end() ? open->second.morsel->Export(*to, split->name, options)
                             : pool_->Export(name, *to, split->name, options);
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
  std::lock_guard lock(mutex_);
  return pool_->Import(name, *image);
}

}  // namespace morsel
