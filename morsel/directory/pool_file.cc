#include "morsel/directory/pool_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cinttypes>
#include <string>

#include "base/error.h"
#include "base/units.h"
#include "morsel/pool/pool_id.h"
#include "os/file/file.h"
#include "pmem/media/media.h"

namespace morsel {
namespace {

// Whoever may read the directory may open the pool for reading, and whoever may write the directory
// may open it for writing.
Result<mode_t> ModeFor(const os::Directory& directory) {
  struct stat status;
  if (fstat(directory.descriptor(), &status) != 0) {
    return FailErrno("'%s': fstat", directory.path().c_str());
  }
  return status.st_mode & 0666;
}

Status Validate(const os::File& file, const PoolFileLayout& layout) {
  const char* const path = file.path().c_str();
  if (layout.magic != kPoolFileMagic) {
    return Fail(Code::kCorrupt, "'%s' is not a pool's file: it does not begin like one", path);
  }
  if (layout.version != kPoolFileVersion || (layout.features & ~kPoolFileFeatures) != 0) {
    return Fail(Code::kVersion,
                "'%s' is of version %" PRIu32 " with features 0x%" PRIx64
                "; this library knows version %" PRIu32 " only: use a newer one",
                path, layout.version, layout.features, kPoolFileVersion);
  }
  if (layout.checksum != ChecksumOf(layout)) {
    return Fail(Code::kCorrupt,
                "'%s' fails its checksum; restore it from a copy, or remove it and open the pool "
                "with MORSEL_CREATE: the morsels beside it do not need it",
                path);
  }
  if (!IsPossible({layout.window_begin, layout.window_end})) {
    return Fail(Code::kCorrupt, "'%s' has an impossible address window 0x%" PRIx64 "-0x%" PRIx64,
                path, layout.window_begin, layout.window_end);
  }
  return Code::kOk;
}

}  // namespace

Status PoolFile::Create(const os::Directory& directory) {
  const Result<Window> window = WindowFromEnvironment();
  if (!window) return window.status();
  const Result<Id> id = RandomId();
  if (!id) return id.status();
  PoolFileLayout layout{};
  layout.magic = kPoolFileMagic;
  layout.version = kPoolFileVersion;
  layout.id = *id;
  layout.window_begin = window->begin;
  layout.window_end = window->end;
  layout.checksum = ChecksumOf(layout);

  const Result<mode_t> mode = ModeFor(directory);
  if (!mode) return mode.status();
  const Result<os::TemporaryFile> temporary = directory.MakeTemporary(kPoolFileName, *mode);
  if (!temporary) return temporary.status();
  Status status = temporary->file.WriteAll(&layout, sizeof layout, 0);
  if (status.ok()) status = directory.Publish(temporary->file, temporary->name, kPoolFileName);
  if (!status.ok()) directory.Abandon(temporary->name);
  return status;
}

Result<PoolFile> PoolFile::Read(const os::Directory& directory, bool read_only) {
  const Result<os::File> file = directory.OpenFile(kPoolFileName, read_only ? O_RDONLY : O_RDWR);
  if (!file) return file.status();
  PoolFileLayout layout;
  MORSEL_TRY(file->ReadExactly(&layout, sizeof layout, 0));
  MORSEL_TRY(Validate(*file, layout));
  return PoolFile(layout.id, {layout.window_begin, layout.window_end},
                  pmem::MediumOf(*file, pmem::PoolPart::kDirectory));
}

}  // namespace morsel
