// Makes morsels of a directory pool whose bytes are there already: imports images, moves morsels.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "image/format/superblock.h"
#include "image/image_copy.h"
#include "morsel/directory/directory_pool.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/image_record.h"
#include "morsel/pool/morsel_bytes.h"
#include "os/memory/frames.h"

namespace morsel {

using image::ImageFile;

Result<std::unique_ptr<MorselBytes>> DirectoryPool::BytesOf(const std::string& name, bool keep) {
  Result<Writable> kept = Writable();
  if (keep) {
    kept = OpenToChangeName(name);
  } else if (Result<os::File> file = OpenFile(name, O_RDONLY); file) {
    kept = Writable{std::move(*file), nullptr};
  } else {
    kept = file.status();
  }
  if (!kept) return kept.status();
  const Result<bool> is_direct = LooksLikeFineFile(kept->file);
  if (!is_direct) return is_direct.status();
  if (*is_direct) {
    // What another process writes in place has no bytes of one moment.
    if (!keep) MORSEL_TRY(CheckNotWritten(name));
    Result<std::unique_ptr<Backing>> backing = OpenToRead(name, nullptr, {});
    if (!backing) return backing.status();
    return std::unique_ptr<MorselBytes>(
        new BytesOfBacking(std::move(*backing), std::make_shared<Writable>(std::move(*kept))));
  }
  Result<ImageFile> image = ImageFile::Open(std::move(kept->file), /*read_only=*/true);
  if (!image) return image.status();
  const Result<CatalogRecord> record = RecordOf(name, image->file(), image->info());
  if (!record) return record.status();
  MORSEL_TRY(ServesImageOf(*record));
  struct Kept {
    ImageFile image;
    std::shared_ptr<AddressLock> beside;
  };
  const auto both = std::make_shared<Kept>(Kept{std::move(*image), std::move(kept->beside)});
  return std::unique_ptr<MorselBytes>(new BytesOfImage(*record, {both, &both->image}));
}

Result<DirectoryPool::Replaced> DirectoryPool::LookAtReplaced(const std::string& name,
                                                              bool is_kept) {
  Replaced replaced;
  const Result<os::File> file = OpenFile(name, O_RDONLY);
  if (!file && file.error() == Code::kNotFound) return replaced;
  if (!file) return file.status();
  struct stat status;
  if (fstat(file->descriptor(), &status) != 0) return FailErrno("'%s': fstat", name.c_str());
  if (status.st_uid != geteuid()) {
    return Fail(Code::kPermission,
                "%s is the file of user %u, and the one in its place would be yours: let its owner "
                "do this",
                LabelOf(name).c_str(), status.st_uid);
  }
  if (!is_kept) {
    Result<Writable> writing = OpenToChangeName(name);
    if (!writing) return writing.status();
    replaced.file = std::move(*writing);
  }
  replaced.naming = os::Naming::kReplace;
  // One that is damaged has no addresses that could be given back.
  const KeepLastError keep;
  const Result<CatalogRecord> record = RecordIn(*file, name);
  if (record) replaced.span = SpanOf(*record);
  return replaced;
}

Result<AddressLock> DirectoryPool::TakeGivenPlace(const CatalogRecord& record, bool replaces) {
  // As in TakePlace(): first the lock, then the list.
  Result<AddressLock> lock = LockPlaceOf(record);
  if (!lock) return lock;
  MORSEL_TRY(CheckRoomFor(*this, record, replaces));
  if (!replaces) MORSEL_TRY(directory_.CheckNone(record.name));
  if (record.contract == Contract::kFine) {
    MORSEL_TRY(CheckPlaceFor(*this, pool_file_.window(), kSubtreeBytes, record));
  }
  ClaimAddresses(record);
  return lock;
}

// ORDER  the new addresses, granted  <  the name  <  the old addresses, given back
// WHY    whoever makes a morsel at this moment must find neither those of the old one free, whose
//        name may come back in a crash, nor those of the new one.                  [ADL-1] [REG-2]
// CRASH  before the name: the new ones are nobody's, and given back when the pool is listed. After:
//        the old ones are.
// TEST   morsel/directory/directory_addresses_test: WhatMovesHasBothAddressesUntilItHasMoved
template <class Make>
Status DirectoryPool::GiveNameInPlace(AddressLock& lock, const CatalogRecord& record,
                                      const Replaced& replaced, const Make& make) {
  MORSEL_TRY(GiveName(lock, make));
  if (!replaced.span) return Code::kOk;
  const RegisteredPool pool = Registered(lock);
  addresses_.GiveBackAllBut(pool, *replaced.span, SpanOf(record), pool.stamp());
  return Code::kOk;
}

Status DirectoryPool::Import(const std::string& name, const ImageFile& image, bool replaces) {
  MORSEL_CHECK(!read_only_);
  Result<CatalogRecord> record = RecordOf(name, image.file(), image.info());
  if (!record) return record.status();
  record->mode = RightsOfCopy(*record).mode;
  if (record->contract == Contract::kFine) record->codec = image::Codec::kNone;
  Result<AddressLock> lock = TakeGivenPlace(*record, replaces);
  if (!lock) return lock.status();
  Result<Replaced> replaced = Replaced();
  if (replaces) replaced = LookAtReplaced(name, /*is_kept=*/false);
  if (!replaced) return replaced.status();
  return GiveNameInPlace(*lock, *record, *replaced, [&] {
    if (record->contract == Contract::kSnapshot) {
      return image::CopyInto(image, directory_, name,
                             {.rights = RightsOf(*record), .naming = replaced->naming});
    }
    const auto fill = [&](char* memory) { return image::LoadBesideWriter(image, memory); };
    return MakeFineFile(directory_, pool_file_.window(), *record, fill, replaced->naming);
  });
}

Status DirectoryPool::MakeImage(const CatalogRecord& record, const MakingWhole& making,
                                os::Naming naming) {
  Result<os::Frames> frames = os::Frames::Open(false);
  if (!frames) return frames.status();
  Result<os::AddressRange> range =
      ReserveNew(pool_file_.window(), record.id, record.size_bytes, {}, LabelOf(record.name));
  if (!range) return range.status();
  MORSEL_TRY(frames->Resize(*range, record.size_bytes));
  MORSEL_TRY(frames->CheckMemoryFor(making.filled_bytes));
  MORSEL_TRY(making.fill(range->at(0), record));
  return ImageFile::Create(directory_, record.name, RightsOf(record), record, range->at(0),
                           &*frames, making.progress, naming)
      .status();
}

Status DirectoryPool::MakeWhole(const MakingWhole& making) {
  MORSEL_CHECK(!read_only_);
  CatalogRecord record = making.record;
  record.carried_name.clear();
  MORSEL_TRY(Supports(record.contract, record.giant));
  std::optional<AddressLock> lock;
  if (record.base == 0) {
    if (!making.replaces) MORSEL_TRY(directory_.CheckNone(record.name));
    Result<Place> place = TakePlace(record, making.moved_from);
    if (!place) return place.status();
    lock.emplace(std::move(place->lock));
  } else {
    Result<AddressLock> taken = TakeGivenPlace(record, making.replaces);
    if (!taken) return taken.status();
    lock.emplace(std::move(*taken));
  }
  Result<Replaced> replaced = Replaced();
  if (making.replaces) replaced = LookAtReplaced(record.name, making.is_kept);
  if (!replaced) return replaced.status();
  const Status made = GiveNameInPlace(*lock, record, *replaced, [&] {
    if (record.contract == Contract::kSnapshot) return MakeImage(record, making, replaced->naming);
    const auto fill = [&](char* memory) { return making.fill(memory, record); };
    return MakeFineFile(directory_, pool_file_.window(), record, fill, replaced->naming);
  });
  if (!made.ok() && making.record.base == 0) GiveBackPlace(*lock, record);
  return made;
}

}  // namespace morsel
