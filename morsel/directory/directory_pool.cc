#include "morsel/directory/directory_pool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>

#include "base/check.h"
#include "base/error.h"
#include "base/units.h"
#include "image/format/superblock.h"
#include "morsel/directory/directory_check.h"
#include "morsel/pool/image_record.h"
#include "morsel/pool/while_overtaken.h"
#include "os/memory/frame_kind.h"
#include "os/memory/frames.h"
#include "os/memory/open_dirty_tracker.h"
#include "pmem/media/media.h"
#include "pmem/persist/pmem2_persist.h"

namespace morsel {
namespace {

using image::ImageFile;
using image::ImageInfo;

constexpr mode_t kDirectoryMode = 0700;

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// Returns true if the directory was made, false if it was there.
Result<bool> MakeDirectory(os::SystemCalls& calls, const std::string& path, mode_t mode) {
  if (calls.MkDirAt(AT_FDCWD, path.c_str(), mode) != 0) {
    if (errno == EEXIST) return false;
    return FailErrno("the directory '%s' cannot be made", path.c_str());
  }
  return true;
}

// Syncs the directory's own name. If the directory was there before, this process may not be
// allowed to read its parent; that is no error then.
Status SyncParent(const os::Directory& directory, bool is_ours) {
  const Result<os::Directory> parent =
      os::Directory::Open(directory.calls(), directory.PathOf(".."));
  if (!parent && parent.error() == Code::kPermission && !is_ours) return Code::kOk;
  if (!parent) return parent.status();
  return parent->Sync();
}

// Opens the pool's file, and makes it first if the options allow that.
// made_now  whether it was made.
Result<PoolFile> OpenOrCreate(const os::Directory& directory, const DirectoryPoolOptions& options,
                              bool is_ours, bool& made_now) {
  if (options.create && !options.read_only) {
    const bool is_there = faccessat(directory.descriptor(), kPoolFileName, F_OK, 0) == 0;
    if (!is_there) {
      // ORDER  the directory's own name, synced  <  the pool's file in it
      // WHY    whoever made the directory may have been killed before its name was durable, and
      //        nobody syncs the name again once the pool's file is there.
      // CRASH  before the file: there is an empty directory, or none. After: there is a pool.
      // TEST   morsel/directory/directory_pool_test: TheDirectorysNameIsDurableBeforeThePoolsFile
      MORSEL_TRY(SyncParent(directory, is_ours));
      const Status made = PoolFile::Create(directory);
      // Another process may make the pool at the same time, and may have removed our temporary file
      // as one that a crash left.
      const bool other_was_first = made.code() == Code::kExists || made.code() == Code::kNotFound;
      if (!made.ok() && (!other_was_first || options.exclusive)) return made;
      made_now = made.ok();
    } else if (options.exclusive) {
      return Fail(Code::kExists, "'%s' is a pool already; use it, or choose another path",
                  directory.path().c_str());
    }
  }
  Result<PoolFile> file = PoolFile::Read(directory, options.read_only);
  if (!file && file.error() == Code::kNotFound && options.create && !options.read_only) {
    return Fail(
        Code::kNotFound,
        "the directory '%s' cannot become a pool: '%s' is not there after it was made, as "
        "where a file system takes no files (/proc) or somebody removes them; choose another "
        "directory",
        directory.path().c_str(), kPoolFileName);
  }
  if (!file && file.error() == Code::kNotFound) {
    return Fail(Code::kNotFound,
                "the directory '%s' is not a pool: it has no '%s'; open it with MORSEL_CREATE to "
                "make it one",
                directory.path().c_str(), kPoolFileName);
  }
  return file;
}

}  // namespace

Result<std::unique_ptr<impl::Pool>> DirectoryPool::Open(const std::string& given_path,
                                                        const DirectoryPoolOptions& options,
                                                        os::SystemCalls& calls) {
  const std::string path = WithoutTrailingSlashes(given_path);
  const mode_t mode = options.mode != 0 ? options.mode : kDirectoryMode;
  Result<bool> made = false;
  if (options.create && !options.read_only) made = MakeDirectory(calls, path, mode);
  if (!made) return made.status();
  Result<std::unique_ptr<impl::Pool>> pool = OpenDirectory(path, options, *made ? mode : 0, calls);
  if (!pool && *made) {
    const KeepLastError keep;
    // This fails, as it should, if somebody has put something into the directory.
    (void)calls.UnlinkAt(AT_FDCWD, path.c_str(), AT_REMOVEDIR);
  }
  return pool;
}

Result<std::unique_ptr<impl::Pool>> DirectoryPool::OpenDirectory(
    const std::string& path, const DirectoryPoolOptions& options, mode_t new_mode,
    os::SystemCalls& calls) {
  Result<os::Directory> directory = os::Directory::Open(calls, path);
  if (!directory) return directory.status();
  // After mkdir(2), because the caller's wish goes before the umask.
  if (new_mode != 0) MORSEL_TRY(directory->SetMode(new_mode));
  directory->ShareWithGroup();
  bool made_now = false;
  Result<PoolFile> pool_file = OpenOrCreate(*directory, options, new_mode != 0, made_now);
  if (!pool_file) return pool_file.status();
  if (!options.read_only) {
    AddressLock::Prepare(*directory);
    MORSEL_TRY(directory->RemoveTemporaries());
    // ORDER  the names that are found, synced  <  what is done because of them
    // WHY    whoever made or removed a name may have been killed before that was durable, and a
    //        checkpoint in a file whose name is lost is lost, too.
    // CRASH  before: such a name is there or not. After: it is as it was found.
    // TEST   tests/disk/pool_test: SequencesOfUpToThree
    MORSEL_TRY(directory->Sync());
  }
  std::unique_ptr<DirectoryPool> pool(
      new DirectoryPool(path, options.read_only, std::move(*directory), *pool_file));
  if (!options.read_only) {
    pool->addresses_.Find(calls, pool_file->id(), path, pool_file->window());
    if (made_now) pool->EnterRegistry();
  }
  return std::unique_ptr<impl::Pool>(std::move(pool));
}

const pmem::Medium& DirectoryPool::medium() const { return pool_file_.medium(); }

Result<uint32_t> DirectoryPool::FineGranularity() const {
  const Result<os::File> file = directory_.OpenFile(kPoolFileName, O_RDONLY);
  if (!file) return file.status();
  return pmem::GranularityOf(*file);
}

uint32_t DirectoryPool::granularity_bytes(Contract contract) const {
  if (contract == Contract::kSnapshot) return kPageBytes;
  const Result<uint32_t> granularity = FineGranularity();
  return granularity ? *granularity : kPageBytes;
}

Status DirectoryPool::Supports(Contract contract, bool giant) const {
  if (giant) {
    return Fail(Code::kUnsupported,
                "pool '%s' is a directory, whose morsels are of 2 MiB subtrees: giant ones need a "
                "carved pool",
                path_.c_str());
  }
  if (contract == Contract::kSnapshot) return Code::kOk;
  const Result<uint32_t> granularity = FineGranularity();
  if (!granularity) return granularity.status();
  if (*granularity < kPageBytes) return Code::kOk;
  return Fail(
      Code::kUnsupported,
      "pool '%s' is in a directory whose file system is not DAX (it refuses MAP_SYNC): there "
      "the fine contract cannot be kept, since stores do not reach the medium by "
      "themselves; put the pool on a DAX file system, or make a snapshot morsel",
      path_.c_str());
}

std::string DirectoryPool::LabelOf(const std::string& name) const {
  return "morsel '" + name + "' of pool '" + path_ + "'";
}

Result<os::File> DirectoryPool::OpenFile(const std::string& name, int flags) const {
  MORSEL_CHECK(name.find('/') == std::string::npos);
  return NamedError(directory_.OpenFile(name, flags), name);
}

Result<os::File> DirectoryPool::NamedError(Result<os::File> file, const std::string& name) const {
  if (!file && file.error() == Code::kNotFound) {
    return Fail(Code::kNotFound, "pool '%s' has no morsel '%s'; check the name, or create it",
                path_.c_str(), name.c_str());
  }
  return file;
}

Status DirectoryPool::TooLong(const std::string& name) const {
  return Fail(Code::kInvalidArgument,
              "'%s' in pool '%s' has a name of %zu bytes, and a morsel's has %" PRIu64
              " at most: give it another (morselctl rename)",
              name.c_str(), path_.c_str(), name.size(), kNameBytesMax);
}

Result<CatalogRecord> DirectoryPool::Find(const std::string& name) {
  const Result<os::File> file = OpenFile(name, O_RDONLY);
  if (!file) return file.status();
  if (name.size() > kNameBytesMax) return TooLong(name);
  return RecordIn(*file, name);
}

Result<CatalogRecord> DirectoryPool::RecordIn(const os::File& file, const std::string& name) {
  const Result<bool> is_direct = LooksLikeFineFile(file);
  if (!is_direct) return is_direct.status();
  if (*is_direct) return ReadFineFile(file, name);
  const auto info = WhileOvertaken(kLetItRest, [&] { return ImageFile::Peek(file); });
  if (!info) return info.status();
  return RecordOf(name, file, *info);
}

namespace {

// Whether a morsel that is not found for that reason may be there, whole, in the next moment. It is
// not passed over then: its addresses are not free.
bool IsForAMoment(Code code) { return code == Code::kNoMemory || code == Code::kBusy; }

}  // namespace

Result<DirectoryPool::Names> DirectoryPool::MorselNames() const {
  const Result<std::vector<std::string>> all = directory_.Names();
  if (!all) return all.status();
  Names names;
  for (const std::string& name : *all) {
    if (name == "." || name == ".." || name.rfind(os::kOwnNames, 0) == 0) continue;
    const Result<os::File> file = directory_.OpenFile(name, O_RDONLY);
    if (!file && IsForAMoment(file.error())) return file.status();
    // A file without permission, or that cannot be read, may well be an image. Whoever opens it
    // gets the reason.
    if (!file && (file.error() == Code::kPermission || file.error() == Code::kIo)) {
      names.images.push_back(name);
    }
    if (!file && file.error() == Code::kUnsupported && MayLeadToMorsel(name)) {
      names.links.push_back(name);
    }
    if (!file) continue;
    const Result<uint64_t> size_bytes = file->SizeBytes();
    if (size_bytes && *size_bytes == 0 && name[0] != '.') names.empty.push_back(name);
    const Result<bool> is_image = image::LooksLikeImage(*file);
    if (is_image ? *is_image : is_image.error() == Code::kIo) names.images.push_back(name);
    const Result<bool> is_direct = LooksLikeFineFile(*file);
    if (is_direct && *is_direct) names.direct.push_back(name);
  }
  return names;
}

// What cannot be seen now, since a disk is not there or belongs to somebody else, may be one.
bool DirectoryPool::MayLeadToMorsel(const std::string& link) const {
  struct stat status;
  if (fstatat(directory_.descriptor(), link.c_str(), &status, 0) != 0) return true;
  if (!S_ISREG(status.st_mode)) return false;
  const Result<os::File> file =
      os::File::Open(directory_.calls(), directory_.descriptor(), link,
                     O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, directory_.PathOf(link));
  if (!file) return true;
  const Result<bool> is_image = image::LooksLikeImage(*file);
  const Result<bool> is_direct = LooksLikeFineFile(*file);
  return (is_image && *is_image) || (is_direct && *is_direct);
}

std::vector<std::string> DirectoryPool::Names::All() const {
  std::vector<std::string> all = images;
  all.insert(all.end(), direct.begin(), direct.end());
  all.insert(all.end(), links.begin(), links.end());
  std::sort(all.begin(), all.end());
  return all;
}

Result<std::vector<std::string>> DirectoryPool::ListUnreadable() {
  const Result<Names> names = MorselNames();
  if (!names) return names.status();
  std::vector<std::string> unreadable = names->All();
  std::erase_if(unreadable, [this](const std::string& name) { return Find(name).has_value(); });
  return unreadable;
}

Result<PoolFacts> DirectoryPool::Facts() {
  struct statvfs status;
  if (fstatvfs(directory_.descriptor(), &status) != 0) return FailErrno("'%s'", path_.c_str());
  PoolFacts facts;
  facts.id = pool_file_.id();
  facts.window_begin = pool_file_.window().begin;
  facts.window_end = pool_file_.window().end;
  facts.size_bytes = status.f_blocks * status.f_frsize;
  facts.free_bytes = status.f_bavail * status.f_frsize;
  const KeepLastError keep;
  facts.frames = os::FramesInWords();
  const Result<std::unique_ptr<os::DirtyTracker>> tracker = os::OpenDirtyTracker();
  facts.tracking = tracker ? (*tracker)->method() : LastError();
  return facts;
}

Result<std::vector<CatalogRecord>> DirectoryPool::List() {
  const Result<Names> names = MorselNames();
  if (!names) return names.status();
  std::vector<CatalogRecord> records;
  for (const std::string& name : names->All()) {
    Result<CatalogRecord> record = Find(name);
    if (record) {
      records.push_back(std::move(*record));
    } else if (IsForAMoment(record.error())) {
      return record.status();
    }
  }
  return records;
}

Status DirectoryPool::Check(const std::function<void(const Finding&)>& report) {
  const Result<Names> names = MorselNames();
  if (!names) return names.status();
  for (const std::string& link : names->links) {
    const Status refused = directory_.OpenFile(link, O_RDONLY).status();
    report({"morsel '" + link + "'", LastError(), refused.code()});
  }
  for (const std::string& name : names->empty) {
    report({"morsel '" + name + "'",
            "its file is empty: restore it from a copy or, if it never was a morsel's, remove it",
            Code::kCorrupt});
  }
  for (const std::string& name : names->All()) {
    if (name.size() > kNameBytesMax) {
      (void)TooLong(name);
      report({"morsel '" + name + "'", LastError(), Code::kCorrupt});
    }
  }
  return CheckFiles(directory_, names->images, names->direct, report);
}

}  // namespace morsel
