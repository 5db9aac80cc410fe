// What a directory pool does with one morsel: makes, opens, copies and removes it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cinttypes>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/units.h"
#include "image/format/superblock.h"
#include "image/image_copy.h"
#include "morsel/directory/directory_pool.h"
#include "morsel/directory/image_backing.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/image_record.h"
#include "morsel/pool/while_overtaken.h"
#include "os/file/file_lock.h"
#include "os/memory/frames.h"
#include "os/memory/open_dirty_tracker.h"

namespace morsel {
using image::ImageFile;

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

Result<std::unique_ptr<Backing>> DirectoryPool::Create(const CatalogRecord& wanted,
                                                       const Formatter& format,
                                                       const image::Progress& progress) {
  MORSEL_CHECK(!read_only_);
  MORSEL_TRY(Supports(wanted.contract, wanted.giant));
  MORSEL_TRY(directory_.CheckNone(wanted.name));
  CatalogRecord record = wanted;
  const Result<Id> id = RandomId();
  if (!id) return id.status();
  record.id = *id;
  if (wanted.contract == Contract::kSnapshot) {
    return CreateImage(std::move(record), format, progress);
  }
  Result<Place> place = TakePlace(record);
  if (!place) return place.status();
  auto made = GiveName(place->lock, [&] {
    return CreateFineFile(directory_, pool_file_.window(), record, std::move(place->range), format);
  });
  if (!made) GiveBackPlace(place->lock, record);
  return made;
}

Result<std::unique_ptr<Backing>> DirectoryPool::CreateImage(CatalogRecord record,
                                                            const Formatter& format,
                                                            const image::Progress& progress) {
  Result<std::unique_ptr<os::DirtyTracker>> dirty = os::OpenDirtyTracker();
  if (!dirty) return dirty.status();
  Result<os::Frames> frames = os::Frames::Open(false);
  if (!frames) return frames.status();
  Result<Place> place = TakePlace(record);
  if (!place) return place.status();
  os::AddressRange& range = place->range;
  MORSEL_TRY(frames->Resize(range, record.size_bytes));
  MORSEL_TRY(os::PlaceProcessPage(range, record.capacity_bytes));
  format(record, pmem::VolatilePersist());

  Result<ImageFile> image = GiveName(place->lock, [&] {
    return ImageFile::Create(directory_, record.name, record.mode, record, range.at(0), &*frames,
                             progress);
  });
  if (!image) {
    GiveBackPlace(place->lock, record);
    return image.status();
  }
  const Result<CatalogRecord> made = RecordOf(record.name, image->file(), image->info());
  if (!made) return made.status();
  return std::unique_ptr<Backing>(new ImageBacking(*made, false, std::move(range),
                                                   std::move(*frames), directory_,
                                                   std::move(*image), std::move(*dirty)));
}

Result<std::unique_ptr<Backing>> DirectoryPool::Open(const std::string& name, bool read_only,
                                                     const image::Progress& progress) {
  MORSEL_CHECK(read_only || !read_only_);
  return read_only ? OpenToRead(name, nullptr, progress) : OpenToWrite(name, progress);
}

// Stores an image of an earlier version anew. Its file stays locked until the new one has its name.
Status DirectoryPool::StoreAnew(const os::File& old, const std::string& name,
                                const image::Progress& progress) {
  const Result<struct stat> status = old.Stat();
  if (!status) return status.status();
  if (status->st_uid != geteuid()) {
    return Fail(Code::kPermission,
                "%s is an image of an earlier version, and the file of user %u: it is stored anew "
                "when its owner opens it for writing; open it read-only until then",
                LabelOf(name).c_str(), status->st_uid);
  }
  MORSEL_TRY(directory_.CheckHasOneName(name, old));
  Result<os::File> file = OpenFile(name, O_RDONLY);
  if (!file) return file.status();
  Result<ImageFile> image = ImageFile::Open(std::move(*file), /*read_only=*/true);
  if (!image) return image.status();
  image->set_progress(progress);
  const Result<CatalogRecord> record = RecordOf(name, image->file(), image->info());
  if (!record) return record.status();
  const Status stored = image::CopyInto(*image, directory_, name,
                                        {.rights = RightsOf(*record),
                                         .naming = os::Naming::kReplace,
                                         .carried_name = image->info().carried_name});
  if (stored.code() != Code::kPermission) return stored;
  return Fail(Code::kPermission,
              "%s is an image of an earlier version, which is stored anew beside the old one when "
              "it is opened for writing: %s; or open it read-only",
              LabelOf(name).c_str(), LastError());
}

Result<std::unique_ptr<Backing>> DirectoryPool::OpenToWrite(const std::string& name,
                                                            const image::Progress& progress) {
  Result<Writable> opened = OpenForWriting(name);
  if (!opened) return opened.status();
  if (image::IsOfVersion4(opened->file)) {
    MORSEL_TRY(StoreAnew(opened->file, name, progress));
    opened = OpenForWriting(name);
    if (!opened) return opened.status();
  }
  os::File* const file = &opened->file;
  // ORDER  the morsel's name, synced  <  the first checkpoint into it
  // WHY    the file may have been copied here since the pool was opened, and its name may be in a
  //        cache only.
  // CRASH  before: the name is there or not, and nothing was promised of it. After: it is there.
  // TEST   tests/disk/pool_test: SequencesOfUpToThree
  MORSEL_TRY(directory_.Sync());
  const Result<bool> is_direct = LooksLikeFineFile(*file);
  if (!is_direct) return is_direct.status();
  if (!*is_direct) {
    auto image = OpenImage(std::move(*file), name, /*read_only=*/false, nullptr, progress);
    if (image) ClaimAddresses((*image)->record());
    if (image) (*image)->Hold(std::move(opened->beside));
    return image;
  }
  // What is stored into it is on the medium. An image is looked at before each checkpoint.
  MORSEL_TRY(directory_.CheckHasOneName(name, *file));
  auto fine = OpenFineFile(std::move(*file), name, /*read_only=*/false, LabelOf(name));
  if (fine) ClaimAddresses((*fine)->record());
  if (fine) (*fine)->Hold(std::move(opened->beside));
  return fine;
}

Result<std::unique_ptr<Backing>> DirectoryPool::OpenIntact(const std::string& name,
                                                           const image::Damaged& damaged,
                                                           const image::Progress& progress) {
  return OpenToRead(name, &damaged, progress);
}

Result<std::unique_ptr<Backing>> DirectoryPool::OpenToRead(const std::string& name,
                                                           const image::Damaged* damaged,
                                                           const image::Progress& progress) {
  // What is found by a reader who was overtaken is no damage, so that all is told at the end.
  std::vector<std::pair<Code, std::string>> found;
  const image::Damaged remember = [&](Status status) {
    found.emplace_back(status.code(), LastError());
    return Status();
  };
  Result<std::unique_ptr<Backing>> backing =
      WhileOvertaken(kLetItRest, [&]() -> Result<std::unique_ptr<Backing>> {
        found.clear();
        Result<os::File> file = OpenFile(name, O_RDONLY);
        if (!file) return file.status();
        const Result<bool> is_direct = LooksLikeFineFile(*file);
        if (!is_direct) return is_direct.status();
        if (!*is_direct) {
          return OpenImage(std::move(*file), name, /*read_only=*/true,
                           damaged == nullptr ? nullptr : &remember, progress);
        }
        if (damaged != nullptr) return impl::Pool::OpenIntact(name, *damaged, progress);
        return OpenFineFile(std::move(*file), name, /*read_only=*/true, LabelOf(name));
      });
  if (!backing) return backing;
  for (const auto& [code, message] : found) {
    MORSEL_TRY((*damaged)(Fail(code, "%s", message.c_str())));
  }
  return backing;
}

Result<std::unique_ptr<Backing>> DirectoryPool::OpenImage(os::File file, const std::string& name,
                                                          bool read_only,
                                                          const image::Damaged* damaged,
                                                          const image::Progress& progress) {
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
  Result<os::AddressRange> range = ReserveRangeOf(*record);
  if (!range) return range.status();
  MORSEL_TRY(frames->Resize(*range, record->size_bytes));
  MORSEL_TRY(frames->CheckMemoryFor(image->LoadedBytes()));
  MORSEL_TRY(os::PlaceProcessPage(*range, record->capacity_bytes));
  image->set_progress(progress);
  bool found_damage = false;
  const image::Damaged tell = [&](Status status) {
    found_damage = true;
    return (*damaged)(status);
  };
  const Status loaded =
      damaged != nullptr ? image->LoadIntact(range->at(0), tell) : image->Load(range->at(0));
  const bool has_found = found_damage || loaded.code() == Code::kCorrupt;
  if (read_only && (damaged != nullptr || has_found)) {
    KeepLastError keep;
    const Status whole = image::CheckAfterReading(*image, has_found);
    if (whole.code() == kOvertaken) {
      keep.LetGo();
      return whole;
    }
  }
  MORSEL_TRY(loaded);
  if (read_only) MORSEL_TRY(frames->Protect());
  return std::unique_ptr<Backing>(new ImageBacking(*record, read_only, std::move(*range),
                                                   std::move(*frames), directory_,
                                                   std::move(*image), std::move(*dirty)));
}

Status DirectoryPool::Export(const std::string& name, const os::Directory& to,
                             const std::string& file_name, const ExportRequest& options) {
  return WhileOvertaken(kLetItExport, [&]() -> Status {
    Result<os::File> file = OpenFile(name, O_RDONLY);
    if (!file) return file.status();
    const Result<bool> is_direct = LooksLikeFineFile(*file);
    if (!is_direct) return is_direct.status();
    if (*is_direct) {
      const Result<std::unique_ptr<Backing>> backing = OpenToRead(name, nullptr, {});
      return backing ? (*backing)->Export(to, file_name, options) : backing.status();
    }
    if (options.skipped != nullptr) return IsAnImage(LabelOf(name));
    Result<ImageFile> image = ImageFile::Open(std::move(*file), true);
    if (!image) return image.status();
    image->set_progress(options.progress);
    const Result<CatalogRecord> record = RecordOf(name, image->file(), image->info());
    if (!record) return record.status();
    const image::Codec codec = options.codec.value_or(image->info().codec);
    const image::CopyAs as = {.rights = RightsOfCopy(*record), .carried_name = name};
    return codec == image->info().codec ? image::CopyInto(*image, to, file_name, as)
                                        : image::RecodeInto(*image, codec, to, file_name, as);
  });
}

// Writers under a reader's lock on the morsel's file lock a byte of a file that no reader can open,
// and then put a lock for reading beside the reader's. So whoever gets the writer's lock is alone,
// also when the reader has gone, and whoever does not get it looks for the byte.
Result<std::shared_ptr<AddressLock>> DirectoryPool::LockBeside(const os::File& file,
                                                               const std::string& name) const {
  if (os::LockAlone(file)) return std::shared_ptr<AddressLock>();
  Result<AddressLock> lock = AddressLock::Open(directory_);
  if (!lock) return lock.status();
  const Result<bool> is_locked = lock->TryLockWriter(file.identity());
  if (!is_locked) return is_locked.status();
  if (!*is_locked) return os::IsWrittenUnderReaders(file, LabelOf(name));
  MORSEL_TRY(os::LockUnderReaders(file, LabelOf(name)));
  return std::make_shared<AddressLock>(std::move(*lock));
}

Result<DirectoryPool::Writable> DirectoryPool::OpenForWriting(const std::string& name) const {
  Result<os::File> file = NamedError(directory_.OpenForWriting(name, LabelOf(name)), name);
  if (!file) return file.status();
  Result<std::shared_ptr<AddressLock>> beside = LockBeside(*file, name);
  if (!beside) return beside.status();
  return Writable{std::move(*file), std::move(*beside)};
}

Result<DirectoryPool::Writable> DirectoryPool::OpenToChangeName(const std::string& name) const {
  // A file that is not a morsel's is not ours to remove or to rename.
  Result<os::File> file = OpenFile(name, O_RDONLY);
  if (!file) return file.status();
  const Result<bool> is_image = image::LooksLikeImage(*file);
  if (!is_image) return is_image.status();
  const Result<bool> is_direct = LooksLikeFineFile(*file);
  if (!is_direct) return is_direct.status();
  if (!*is_image && !*is_direct) {
    return Fail(Code::kCorrupt, "'%s' is not a morsel's file: it does not begin like one",
                directory_.PathOf(name).c_str());
  }
  // As its one writer, so that nobody else is or becomes it before the name is gone. Who may change
  // the name may be allowed to read the file only; where there are no locks nobody writes it.
  Result<Writable> written = OpenForWriting(name);
  const bool goes_without =
      written.error() == Code::kPermission || written.error() == Code::kUnsupported;
  if (written || !goes_without) return written;
  MORSEL_TRY(os::CheckNotWritten(*file, LabelOf(name)));
  return Writable{std::move(*file), nullptr};
}

Status DirectoryPool::Remove(const std::string& name) {
  MORSEL_CHECK(!read_only_);
  const Result<Writable> file = OpenToChangeName(name);
  if (!file) return file.status();
  return RemoveName(name);
}

Status DirectoryPool::CheckNotWritten(const std::string& name) {
  const Result<os::File> file = OpenFile(name, O_RDONLY);
  return file ? os::CheckNotWritten(*file, LabelOf(name)) : file.status();
}

// ORDER  the morsel's addresses, locked  <  its new name  <  the lock given back
// WHY    who lists a directory while a name in it changes may see neither the old one nor the new
//        one, and whoever lists it to find out which addresses are free has locked his.   [ADL-1]
// CRASH  no difference: the lock goes with the process.
// TEST   morsel/directory/directory_sharing_test: NobodyTakesTheAddressesOfWhatIsRenamed
Status DirectoryPool::Rename(const std::string& name, const std::string& to) {
  MORSEL_CHECK(!read_only_);
  const Result<Writable> file = OpenToChangeName(name);
  if (!file) return file.status();
  MORSEL_TRY(directory_.CheckNone(to));
  // One that is damaged has no addresses that anybody could take for his own.
  const Result<CatalogRecord> record = RecordIn(file->file, name);
  Result<AddressLock> lock = AddressLock::Open(directory_);
  if (!lock) return lock.status();
  if (record) {
    const auto others = lock->TryLock(record->base, RangeBytes(record->capacity_bytes));
    // Where there are no locks nobody makes a morsel.
    if (!others && others.error() != Code::kUnsupported) return others.status();
    if (others && others->has_value()) {
      return Fail(Code::kBusy,
                  "%s cannot be renamed now: somebody is making or renaming a morsel at its "
                  "addresses; try again",
                  LabelOf(name).c_str());
    }
  }
  return GiveName(*lock, [&] { return directory_.Move(name, to); });
}

}  // namespace morsel
