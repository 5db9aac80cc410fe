#include "morsel/directory/directory_pool.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>

#include "base/check.h"
#include "base/error.h"
#include "base/units.h"
#include "image/format/superblock.h"
#include "image/image_copy.h"
#include "morsel/directory/directory_check.h"
#include "morsel/directory/image_backing.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/image_record.h"
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
constexpr char kOwnPrefix[] = ".morsel";

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

// Sets the mode after mkdir(2), because the caller's wish goes before the umask.
Status SetMode(const os::Directory& directory, mode_t mode) {
  if (directory.calls().FChMod(directory.descriptor(), mode) == 0) return Code::kOk;
  return FailErrno("'%s' cannot get the permissions 0%o", directory.path().c_str(),
                   static_cast<unsigned>(mode));
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
Result<PoolFile> OpenOrCreate(const os::Directory& directory, const DirectoryPoolOptions& options,
                              bool is_ours) {
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
    } else if (options.exclusive) {
      return Fail(Code::kExists, "'%s' is a pool already; use it, or choose another path",
                  directory.path().c_str());
    }
  }
  Result<PoolFile> file = PoolFile::Open(directory, options.read_only);
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
  if (new_mode != 0) MORSEL_TRY(SetMode(*directory, new_mode));
  Result<PoolFile> pool_file = OpenOrCreate(*directory, options, new_mode != 0);
  if (!pool_file) return pool_file.status();
  if (!options.read_only) {
    MORSEL_TRY(directory->RemoveTemporaries());
    // ORDER  the names that are found, synced  <  what is done because of them
    // WHY    whoever made or removed a name may have been killed before that was durable, and a
    //        checkpoint in a file whose name is lost is lost, too.
    // CRASH  before: such a name is there or not. After: it is as it was found.
    // TEST   tests/disk/pool_test: SequencesOfUpToThree
    MORSEL_TRY(directory->Sync());
  }
  return std::unique_ptr<impl::Pool>(
      new DirectoryPool(path, options.read_only, std::move(*directory), std::move(*pool_file)));
}

const pmem::Medium& DirectoryPool::medium() const {
  return pmem::MediumOf(pool_file_.file(), pmem::PoolPart::kDirectory);
}

uint32_t DirectoryPool::granularity_bytes(Contract contract) const {
  if (contract == Contract::kSnapshot) return kPageBytes;
  const Result<uint32_t> granularity = pmem::GranularityOf(pool_file_.file());
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
  const Result<uint32_t> granularity = pmem::GranularityOf(pool_file_.file());
  if (!granularity) return granularity.status();
  if (*granularity < kPageBytes) return Code::kOk;
  return Fail(
      Code::kUnsupported,
      "pool '%s' is in a directory whose file system is not DAX (it refuses MAP_SYNC): there "
      "the fine contract cannot be kept, since stores do not reach the medium by "
      "themselves; put the pool on a DAX file system, or make a snapshot morsel",
      path_.c_str());
}

// The image of a fine morsel is refused on a DAX file system, too: an image is no memory that
// stores can be persisted into.
Status DirectoryPool::ServesImageOf(const CatalogRecord& record) const {
  MORSEL_TRY(Supports(Contract::kSnapshot, record.giant));
  if (record.contract == Contract::kSnapshot) return Code::kOk;
  return Fail(
      Code::kUnsupported,
      "'%s' in pool '%s' is an image of a fine morsel, which cannot be persisted into: take "
      "it out of the directory, and import it (morselctl import) on persistent memory",
      record.name.c_str(), path_.c_str());
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

Result<CatalogRecord> DirectoryPool::Find(const std::string& name) {
  const Result<os::File> file = OpenFile(name, O_RDONLY);
  if (!file) return file.status();
  if (name.size() > kNameBytesMax) {
    return Fail(Code::kInvalidArgument,
                "'%s' in pool '%s' has a name of %zu bytes, and a morsel's has %" PRIu64
                " at most: rename the file",
                name.c_str(), path_.c_str(), name.size(), kNameBytesMax);
  }
  const Result<bool> is_direct = LooksLikeFineFile(*file);
  if (!is_direct) return is_direct.status();
  if (*is_direct) {
    const std::shared_ptr<CarvedMedium> open = OpenMedium(name);
    return open ? ReadOpenFineFile(*open, *file, name) : ReadFineFile(*file, name);
  }
  const Result<ImageInfo> info = ImageFile::Peek(*file);
  if (!info) return info.status();
  return RecordOf(name, *file, *info);
}

Result<DirectoryPool::Names> DirectoryPool::MorselNames() const {
  const Result<std::vector<std::string>> all = directory_.Names();
  if (!all) return all.status();
  Names names;
  for (const std::string& name : *all) {
    if (name == "." || name == ".." || name.rfind(kOwnPrefix, 0) == 0) continue;
    const Result<os::File> file = directory_.OpenFile(name, O_RDONLY);
    // A file without permission may well be an image. Whoever opens it gets the reason.
    if (!file && file.error() == Code::kPermission) names.images.push_back(name);
    if (!file) continue;
    const Result<bool> is_image = image::LooksLikeImage(*file);
    if (is_image && *is_image) names.images.push_back(name);
    const Result<bool> is_direct = LooksLikeFineFile(*file);
    if (is_direct && *is_direct) names.direct.push_back(name);
  }
  return names;
}

std::vector<std::string> DirectoryPool::Names::All() const {
  std::vector<std::string> all = images;
  all.insert(all.end(), direct.begin(), direct.end());
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
    if (record) records.push_back(std::move(*record));
  }
  return records;
}

Result<std::unique_ptr<Backing>> DirectoryPool::Remember(const std::string& name,
                                                         Result<FineMorsel> morsel) {
  if (!morsel) return morsel.status();
  const std::lock_guard lock(mutex_);
  open_[name] = morsel->medium;
  return std::move(morsel->backing);
}

std::shared_ptr<CarvedMedium> DirectoryPool::OpenMedium(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = open_.find(name);
  return found == open_.end() ? nullptr : found->second.lock();
}

// Reserves a range that no other morsel of the pool has, and sets the record's base.
Result<os::AddressRange> DirectoryPool::ReserveFor(CatalogRecord& record) {
  const Result<std::vector<CatalogRecord>> others = List();
  if (!others) return others.status();
  TakenRanges taken;
  for (const CatalogRecord& other : *others)
    taken.Add(other.base, RangeBytes(other.capacity_bytes));
  Result<os::AddressRange> range = ReserveNew(pool_file_.window(), record.id, record.capacity_bytes,
                                              taken, LabelOf(record.name));
  if (range) record.base = range->base();
  return range;
}

Result<std::unique_ptr<Backing>> DirectoryPool::Create(const CatalogRecord& wanted,
                                                       const Formatter& format) {
  MORSEL_CHECK(!read_only_);
  MORSEL_TRY(Supports(wanted.contract, wanted.giant));
  MORSEL_TRY(directory_.CheckNone(wanted.name));
  CatalogRecord record = wanted;
  const Result<Id> id = RandomId();
  if (!id) return id.status();
  record.id = *id;
  if (wanted.contract == Contract::kSnapshot) return CreateImage(std::move(record), format);
  Result<os::AddressRange> range = ReserveFor(record);
  if (!range) return range.status();
  return Remember(record.name, CreateFineFile(directory_, pool_file_.window(), record,
                                              std::move(*range), format));
}

Result<std::unique_ptr<Backing>> DirectoryPool::CreateImage(CatalogRecord record,
                                                            const Formatter& format) {
  Result<std::unique_ptr<os::DirtyTracker>> dirty = os::OpenDirtyTracker();
  if (!dirty) return dirty.status();
  Result<os::Frames> frames = os::Frames::Open(false);
  if (!frames) return frames.status();
  Result<os::AddressRange> range = ReserveFor(record);
  if (!range) return range.status();
  MORSEL_TRY(frames->Resize(*range, record.size_bytes));
  MORSEL_TRY(os::PlaceProcessPage(*range, record.capacity_bytes));
  format(record, pmem::VolatilePersist());

  Result<ImageFile> image = ImageFile::Create(directory_, record.name, record.mode, record,
                                              range->at(0), &*frames, progress_);
  if (!image) return image.status();
  const Result<CatalogRecord> made = RecordOf(record.name, image->file(), image->info());
  if (!made) return made.status();
  return std::unique_ptr<Backing>(new ImageBacking(*made, false, std::move(*range),
                                                   std::move(*frames), directory_,
                                                   std::move(*image), std::move(*dirty)));
}

Result<std::unique_ptr<Backing>> DirectoryPool::Open(const std::string& name, bool read_only) {
  MORSEL_CHECK(read_only || !read_only_);
  Result<os::File> file = read_only
                              ? OpenFile(name, O_RDONLY)
                              : NamedError(directory_.OpenForWriting(name, LabelOf(name)), name);
  if (!file) return file.status();
  // ORDER  the morsel's name, synced  <  the first checkpoint into it
  // WHY    the file may have been copied here since the pool was opened, and its name may be in a
  //        cache only.
  // CRASH  before: the name is there or not, and nothing was promised of it. After: it is there.
  // TEST   tests/disk/pool_test: SequencesOfUpToThree
  if (!read_only) MORSEL_TRY(directory_.Sync());
  const Result<bool> is_direct = LooksLikeFineFile(*file);
  if (!is_direct) return is_direct.status();
  if (!*is_direct) return OpenImage(std::move(*file), name, read_only, nullptr);
  // What is stored into it is on the medium. An image is looked at before each checkpoint.
  if (!read_only) MORSEL_TRY(directory_.CheckHasOneName(name, *file));
  return Remember(name, OpenFineFile(std::move(*file), name, read_only, LabelOf(name)));
}

Result<std::unique_ptr<Backing>> DirectoryPool::OpenIntact(const std::string& name,
                                                           const image::Damaged& damaged) {
  Result<os::File> file = OpenFile(name, O_RDONLY);
  if (!file) return file.status();
  const Result<bool> is_direct = LooksLikeFineFile(*file);
  if (!is_direct) return is_direct.status();
  if (*is_direct) return impl::Pool::OpenIntact(name, damaged);
  return OpenImage(std::move(*file), name, /*read_only=*/true, &damaged);
}

Result<std::unique_ptr<Backing>> DirectoryPool::OpenImage(os::File file, const std::string& name,
                                                          bool read_only,
                                                          const image::Damaged* damaged) {
  Result<std::unique_ptr<os::DirtyTracker>> dirty(nullptr);
  if (!read_only) dirty = os::OpenDirtyTracker();
  if (!dirty) return dirty.status();
  Result<os::Frames> frames = os::Frames::Open(read_only);
  if (!frames) return frames.status();
  Result<ImageFile> image = damaged != nullptr ? ImageFile::OpenIntact(std::move(file), *damaged)
                                               : ImageFile::Open(std::move(file), read_only);
  if (!image) return image.status();
  const Result<CatalogRecord> record = RecordOf(name, image->file(), image->info());
  if (!record) return record.status();
  MORSEL_TRY(ServesImageOf(*record));
  Result<os::AddressRange> range =
      os::AddressRange::Reserve(record->base, RangeBytes(record->capacity_bytes), LabelOf(name));
  if (!range) return range.status();
  MORSEL_TRY(frames->Resize(*range, record->size_bytes));
  MORSEL_TRY(frames->CheckMemoryFor(image->LoadedBytes()));
  MORSEL_TRY(os::PlaceProcessPage(*range, record->capacity_bytes));
  image->set_progress(progress_);
  MORSEL_TRY(damaged != nullptr ? image->LoadIntact(range->at(0), *damaged)
                                : image->Load(range->at(0)));
  if (read_only) MORSEL_TRY(frames->Protect());
  return std::unique_ptr<Backing>(new ImageBacking(*record, read_only, std::move(*range),
                                                   std::move(*frames), directory_,
                                                   std::move(*image), std::move(*dirty)));
}

Status DirectoryPool::Export(const std::string& name, const os::Directory& to,
                             const std::string& file_name, const ExportRequest& options) {
  Result<os::File> file = OpenFile(name, O_RDONLY);
  if (!file) return file.status();
  const Result<bool> is_direct = LooksLikeFineFile(*file);
  if (!is_direct) return is_direct.status();
  if (*is_direct) {
    const Result<std::unique_ptr<Backing>> backing = Open(name, /*read_only=*/true);
    return backing ? (*backing)->Export(to, file_name, options) : backing.status();
  }
  if (options.skipped != nullptr) return IsAnImage(LabelOf(name));
  Result<ImageFile> image = ImageFile::Open(std::move(*file), true);
  if (!image) return image.status();
  image->set_progress(options.progress);
  const Result<CatalogRecord> record = RecordOf(name, image->file(), image->info());
  if (!record) return record.status();
  const image::Codec codec = options.codec.value_or(image->info().codec);
  const uint32_t mode = PermissionsOfCopy(record->mode);
  return codec == image->info().codec ? image::CopyInto(*image, to, file_name, mode)
                                      : image::RecodeInto(*image, codec, to, file_name, mode);
}

Status DirectoryPool::Import(const std::string& name, const ImageFile& image) {
  MORSEL_CHECK(!read_only_);
  const Result<CatalogRecord> record = RecordOf(name, image.file(), image.info());
  if (!record) return record.status();
  MORSEL_TRY(CheckRoomFor(*this, *record));
  MORSEL_TRY(directory_.CheckNone(name));
  const uint32_t mode = PermissionsOfCopy(record->mode);
  if (record->contract == Contract::kSnapshot) {
    return image::CopyInto(image, directory_, name, mode);
  }
  CatalogRecord fine = *record;
  fine.codec = image::Codec::kNone;
  fine.mode = mode;
  MORSEL_TRY(CheckPlaceFor(*this, pool_file_.window(), kSubtreeBytes, fine));
  return ImportFineFile(directory_, pool_file_.window(), fine, image);
}

Status DirectoryPool::Remove(const std::string& name) {
  MORSEL_CHECK(!read_only_);
  // A file that is not a morsel's is not ours to remove.
  const Result<os::File> file = OpenFile(name, O_RDONLY);
  if (!file) return file.status();
  const Result<bool> is_image = image::LooksLikeImage(*file);
  if (!is_image) return is_image.status();
  const Result<bool> is_direct = LooksLikeFineFile(*file);
  if (!is_direct) return is_direct.status();
  if (!*is_image && !*is_direct) {
    return Fail(Code::kCorrupt, "'%s' is not a morsel's file: it does not begin like one",
                directory_.PathOf(name).c_str());
  }
  return directory_.Remove(name);
}

Status DirectoryPool::Check(const std::function<void(const Finding&)>& report) {
  const Result<Names> names = MorselNames();
  if (!names) return names.status();
  return CheckFiles(directory_, names->images, names->direct, report);
}

void DirectoryPool::CloseAfterFork() {
  directory_.Close();
  pool_file_.Close();
  for (const auto& [name, medium] : open_) {
    if (const std::shared_ptr<CarvedMedium> open = medium.lock()) open->CloseAfterFork();
  }
}

}  // namespace morsel
