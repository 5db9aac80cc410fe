#include "morsel/carved/fine_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/error.h"
#include "morsel/carved/bad_ranges_in_pool.h"
#include "morsel/carved/carved_pool_backing.h"
#include "morsel/carved/carved_pool_superblock.h"
#include "morsel/carved/metadata_copy.h"
#include "morsel/pool/image_record.h"

namespace morsel {
namespace {

constexpr uint64_t kSuperblocksBytes = kSuperblocks * kSuperblockBytes;

std::string SubjectOf(const os::File& file) { return "'" + file.path() + "'"; }

Result<std::unique_ptr<MetadataCopy>> ReadMetadata(const os::File& file) {
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return size_bytes.status();
  OnHeap<PoolBeginning> superblocks;
  MORSEL_TRY(file.ReadExactly(superblocks->bytes, kSuperblocksBytes, 0));
  const Result<OnHeap<PoolSuperblock>> superblock =
      ChooseSuperblock(superblocks->bytes, *size_bytes, SubjectOf(file));
  if (!superblock) return superblock.status();
  return MetadataCopy::Take(file, **superblock, nullptr, SubjectOf(file));
}

Result<SlotIndex> OnlySlot(const Catalog& catalog, const std::string& path) {
  const std::vector<SlotIndex> slots = catalog.List();
  if (slots.size() == 1) return slots.front();
  return Fail(Code::kCorrupt,
              "'%s' should hold one morsel, and its catalog has %zu; restore it from a copy",
              path.c_str(), slots.size());
}

// Completes the catalog's record with the name, mode and owner that the file system has.
Result<CatalogRecord> Named(CatalogRecord record, const std::string& name, const os::File& file) {
  struct stat status;
  if (fstat(file.descriptor(), &status) != 0) return FailErrno("'%s': fstat", file.path().c_str());
  record.name = name;
  record.mode = status.st_mode & 07777;
  record.user = status.st_uid;
  record.group = status.st_gid;
  record.acl = os::AclOf(file);
  return record;
}

Result<std::unique_ptr<Backing>> MakeIn(const os::File& file, const Window& window,
                                        const CatalogRecord& record, os::AddressRange range,
                                        const Formatter& format) {
  const Result<OnHeap<PoolSuperblock>> plan =
      PlanSingle(record.capacity_bytes, window, record.id, SubjectOf(file));
  if (!plan) return plan.status();
  MORSEL_TRY(CarvedMedium::FormatFile(file, **plan));
  Result<os::File> second = file.SecondDescriptor(file.path());
  if (!second) return second.status();
  Result<std::unique_ptr<CarvedMedium>> medium = CarvedMedium::Open(
      std::move(*second), false, SubjectOf(file), CarvedMedium::As::kSingleMorsel);
  if (!medium) return medium.status();
  const std::shared_ptr<CarvedMedium> shared = std::move(*medium);
  std::unique_lock held(shared->mutex);
  // Who fills the memory may take locks that come before this one. Nobody else knows the file yet.
  const Formatter unlocked = [&](const CatalogRecord& made, pmem::Persist persist) {
    held.unlock();
    format(made, persist);
    held.lock();
  };
  Result<std::unique_ptr<CarvedBacking>> backing =
      CarvedBacking::Create(shared, record, std::move(range), unlocked, held);
  if (!backing) return backing.status();
  return std::unique_ptr<Backing>(std::move(*backing));
}

}  // namespace

Result<bool> LooksLikeFineFile(const os::File& file) {
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return size_bytes.status();
  OnHeap<PoolBeginning> both;
  char(&superblocks)[kSuperblocksBytes] = both->bytes;
  std::memset(superblocks, 0, sizeof superblocks);
  MORSEL_TRY(file.ReadExactly(superblocks, std::min<uint64_t>(sizeof superblocks, *size_bytes), 0));
  // Of a file that was cut off, the rest may not be there that says so.
  if (*size_bytes < sizeof superblocks) return !LooksForeign(superblocks);
  return LooksSingle(superblocks);
}

Result<CatalogRecord> ReadFineFile(const os::File& file, const std::string& name) {
  const Result<std::unique_ptr<MetadataCopy>> copy = ReadMetadata(file);
  if (!copy) return copy.status();
  const Catalog& catalog = (*copy)->metadata().catalog();
  const Result<SlotIndex> slot = OnlySlot(catalog, file.path());
  if (!slot) return slot.status();
  return Named(catalog.record(*slot), name, file);
}

Result<std::vector<Finding>> CheckFineFile(const os::File& file, const std::string& subject) {
  const Result<std::unique_ptr<MetadataCopy>> copy = ReadMetadata(file);
  if (!copy) return copy.status();
  CarvedMetadata& metadata = (*copy)->metadata();
  const Result<std::vector<pmem::ByteRange>> bad = pmem::BadRangesOf(file);
  if (!bad) return bad.status();
  Result<std::vector<Finding>> findings = FindingsOf(*bad, metadata, subject, file.path());
  if (!findings) return findings.status();
  // The findings name the morsel as its slot does; the file's name counts.
  for (Finding& finding : *findings) finding.subject = subject;
  for (const std::string& message : metadata.Validate()) {
    findings->push_back({.subject = subject, .message = message});
  }
  return findings;
}

namespace {

// Makes the morsel in a temporary file and then gives the file its name. `filled` is read after
// `format` has run: if it is an error, the file does not get its name.
Result<std::unique_ptr<Backing>> MakeNamed(const os::Directory& directory, const Window& window,
                                           const CatalogRecord& record,
                                           const os::FileRights& rights, os::AddressRange range,
                                           const Formatter& format, const Status& filled,
                                           os::Naming naming) {
  const Result<os::TemporaryFile> temporary = directory.MakeTemporary(record.name, rights);
  if (!temporary) return temporary.status();
  Result<std::unique_ptr<Backing>> made =
      MakeIn(temporary->file, window, record, std::move(range), format);
  Status status = made.status();
  if (status.ok()) status = filled;
  if (status.ok())
    status = directory.Publish(temporary->file, temporary->name, record.name, naming);
  if (status.ok()) return made;
  const KeepLastError keep;
  directory.Abandon(temporary->name);
  return status;
}

}  // namespace

Result<std::unique_ptr<Backing>> CreateFineFile(const os::Directory& directory,
                                                const Window& window, const CatalogRecord& record,
                                                os::AddressRange range, const Formatter& format) {
  return MakeNamed(directory, window, record, record.mode, std::move(range), format, Code::kOk,
                   os::Naming::kNew);
}

Status MakeFineFile(const os::Directory& directory, const Window& window,
                    const CatalogRecord& record, const FillMemory& fill, os::Naming naming) {
  Result<os::AddressRange> range =
      ReserveNew(window, record.id, record.capacity_bytes, {}, "morsel '" + record.name + "'");
  if (!range) return range.status();
  char* const memory = static_cast<char*>(range->at(0));
  Status filled;
  const Formatter load = [&](const CatalogRecord&, pmem::Persist persist) {
    filled = FillDurably(memory, record.size_bytes, fill, persist);
  };
  return MakeNamed(directory, window, record, RightsOf(record), std::move(*range), load, filled,
                   naming)
      .status();
}

Result<std::unique_ptr<Backing>> OpenFineFile(os::File file, const std::string& name,
                                              bool read_only, const std::string& label) {
  const std::string path = file.path();
  const Result<CatalogRecord> named = Named({}, name, file);
  if (!named) return named.status();
  Result<std::unique_ptr<CarvedMedium>> medium = CarvedMedium::Open(
      std::move(file), read_only, "'" + path + "'", CarvedMedium::As::kSingleMorsel);
  if (!medium) return medium.status();
  const std::shared_ptr<CarvedMedium> shared = std::move(*medium);
  const std::lock_guard lock(shared->mutex);
  const Result<SlotIndex> slot = OnlySlot(shared->metadata().catalog(), path);
  if (!slot) return slot.status();
  CatalogRecord record = shared->metadata().catalog().record(*slot);
  record.name = name;
  record.mode = named->mode;
  record.user = named->user;
  record.group = named->group;
  record.acl = named->acl;
  Result<os::AddressRange> range =
      os::AddressRange::Reserve(record.base, RangeBytes(record.capacity_bytes), label);
  if (!range) return range.status();
  Result<std::unique_ptr<CarvedBacking>> backing =
      CarvedBacking::Open(shared, *slot, record, read_only, std::move(*range));
  if (!backing) return backing.status();
  return std::unique_ptr<Backing>(std::move(*backing));
}

}  // namespace morsel
