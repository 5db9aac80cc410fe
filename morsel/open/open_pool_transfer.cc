// The export of morsels as images.
#include "base/error.h"
#include "morsel/open/open_pool.h"
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

}  // namespace morsel
