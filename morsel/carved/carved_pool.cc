#include "morsel/carved/carved_pool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cinttypes>

#include "base/bits.h"
#include "base/error.h"
#include "base/size_words.h"
#include "morsel/carved/bad_ranges_in_pool.h"
#include "morsel/carved/carved_pool_backing.h"
#include "morsel/carved/carved_pool_permission.h"
#include "morsel/pool/address_window.h"
#include "os/file/directory.h"
#include "os/file/file_lock.h"

namespace morsel {
namespace {

std::string PoolSubject(const std::string& path) { return "pool '" + path + "'"; }

}  // namespace

Result<std::unique_ptr<impl::Pool>> CarvedPool::Create(const std::string& path, uint64_t size_bytes,
                                                       uint32_t mode, os::SystemCalls& calls) {
  const Result<os::SplitPath> split = os::SplitAtNewName(path);
  if (!split) return split.status();
  struct stat status;
  if (lstat(path.c_str(), &status) == 0) {
    return Fail(Code::kExists, "'%s' exists already; open it, or choose another path",
                path.c_str());
  }
  if (size_bytes > uint64_t{1} << 62) size_bytes = uint64_t{1} << 62;  // refused below
  const Result<os::Directory> directory = os::Directory::Open(calls, split->directory);
  if (!directory) return directory.status();
  Result<os::TemporaryFile> temporary = directory->MakeTemporary(split->name, mode);
  if (!temporary) return temporary.status();
  // The temporary has its writer's lock before it has its name, so that no other process can write
  // it in between.
  Status made =
      CarvedMedium::Format(temporary->file, AlignUp(size_bytes, kSubtreeBytes), PoolSubject(path));
  std::unique_ptr<CarvedPool> pool;
  if (made.ok()) {
    Result<os::File> second = temporary->file.SecondDescriptor(path);
    made = second.status();
    if (second) {
      Result<std::unique_ptr<CarvedPool>> adopted = Adopt(std::move(*second), false);
      made = adopted.status();
      if (adopted.has_value()) pool = std::move(*adopted);
    }
  }
  if (made.ok()) made = directory->Publish(temporary->file, temporary->name, split->name);
  if (made.ok()) {
    pool->FindAddresses();  // by its path, which leads to it only now
    return std::unique_ptr<impl::Pool>(std::move(pool));
  }
  directory->Abandon(temporary->name);
  return made;
}

Result<std::unique_ptr<impl::Pool>> CarvedPool::Open(const std::string& path, bool read_only,
                                                     os::SystemCalls& calls) {
  Result<os::File> file =
      os::File::Open(calls, AT_FDCWD, path, (read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK, 0, path);
  if (!file) return file.status();
  if (!read_only) MORSEL_TRY(os::LockForWriting(*file, PoolSubject(path)));
  Result<std::unique_ptr<CarvedPool>> pool = Adopt(std::move(*file), read_only);
  if (!pool) return pool.status();
  if (!read_only) (*pool)->FindAddresses();
  return std::unique_ptr<impl::Pool>(std::move(*pool));
}

Result<std::unique_ptr<CarvedPool>> CarvedPool::Adopt(os::File file, bool read_only) {
  const std::string path = file.path();
  Result<std::unique_ptr<CarvedMedium>> medium =
      CarvedMedium::Open(std::move(file), read_only, PoolSubject(path));
  if (!medium) return medium.status();
  return std::unique_ptr<CarvedPool>(new CarvedPool(path, read_only, std::move(*medium)));
}

std::string CarvedPool::SubjectOf(const std::string& name) const {
  return "morsel '" + name + "' of " + PoolSubject(path_);
}

Status CarvedPool::MustBeWritable(const char* tried) const {
  if (!read_only_) return Code::kOk;
  return Fail(Code::kPermission, "%s is open read-only: no morsel of it can be %s",
              PoolSubject(path_).c_str(), tried);
}

Status CarvedPool::Supports(Contract contract, bool) const {
  if (contract == Contract::kFine) return Code::kOk;
  return Fail(Code::kUnsupported,
              "%s is carved, and serves the fine contract only (MORSEL_FINE); snapshot morsels "
              "live in a directory pool",
              PoolSubject(path_).c_str());
}

Result<CatalogRecord> CarvedPool::Find(const std::string& name) {
  const std::lock_guard lock(medium_->mutex);
  MORSEL_TRY(medium_->Refresh());
  const Catalog& catalog = medium_->metadata().catalog();
  const Result<SlotIndex> slot = catalog.Find(name);
  if (!slot) return slot.status();
  return catalog.record(*slot);
}

Result<std::vector<CatalogRecord>> CarvedPool::List() {
  const std::lock_guard lock(medium_->mutex);
  MORSEL_TRY(medium_->Refresh());
  const Catalog& catalog = medium_->metadata().catalog();
  std::vector<CatalogRecord> records;
  for (const SlotIndex slot : catalog.List()) records.push_back(catalog.record(slot));
  return records;
}

Result<PoolFacts> CarvedPool::Facts() {
  const Result<std::vector<CatalogRecord>> records = List();
  if (!records) return records.status();
  PoolFacts facts;
  facts.is_carved = true;
  std::copy(std::begin(superblock().id), std::end(superblock().id), facts.id.begin());
  facts.window_begin = superblock().window_begin;
  facts.window_end = superblock().window_end;
  facts.unit_bytes = superblock().unit_bytes;
  facts.size_bytes = superblock().subtree_count * kSubtreeBytes;
  facts.free_bytes = facts.size_bytes;
  for (const CatalogRecord& record : *records) {
    facts.free_bytes -= std::min(record.size_bytes, facts.free_bytes);
  }
  return facts;
}

// Returns `asked` with its sizes rounded up to the units that the medium can map.
CatalogRecord CarvedPool::Carved(const CatalogRecord& asked) const {
  CatalogRecord record = asked;
  if (superblock().unit_bytes < kGiantBytes) return record;
  record.giant = true;
  record.size_bytes = AlignUp(record.size_bytes, kGiantBytes);
  record.capacity_bytes = AlignUp(record.capacity_bytes, kGiantBytes);
  return record;
}

Result<std::unique_ptr<Backing>> CarvedPool::Create(const CatalogRecord& asked,
                                                    const Formatter& format,
                                                    const image::Progress&) {
  MORSEL_TRY(MustBeWritable("made"));
  const CatalogRecord wanted = Carved(asked);
  MORSEL_TRY(Supports(wanted.contract, wanted.giant));
  const alloc::SubtreeRole role = RoleOf(wanted);
  const uint64_t unit_bytes = alloc::SubtreesOf(role) * kSubtreeBytes;
  if (!IsAligned(wanted.size_bytes, unit_bytes) || !IsAligned(wanted.capacity_bytes, unit_bytes) ||
      wanted.size_bytes == 0 || wanted.size_bytes > wanted.capacity_bytes || wanted.name.empty() ||
      wanted.name.size() > kNameBytesMax) {
    return Fail(
        Code::kInvalidArgument,
        "%s cannot have size %s and capacity %s: both are multiples of %s, the size at least that "
        "and at most the capacity",
        SubjectOf(wanted.name).c_str(), FormatSizeExactly(wanted.size_bytes).c_str(),
        FormatSizeExactly(wanted.capacity_bytes).c_str(), FormatSizeExactly(unit_bytes).c_str());
  }
  std::unique_lock lock(medium_->mutex);
  CarvedMetadata& metadata = medium_->metadata();
  if (metadata.catalog().Find(wanted.name).has_value()) {
    return Fail(Code::kExists, "%s exists already; open it, or choose another name",
                SubjectOf(wanted.name).c_str());
  }
  const Result<Id> id = RandomId();
  if (!id) return id.status();
  CatalogRecord record = wanted;
  record.id = *id;
  Result<os::AddressRange> range = TakeRange(record);
  if (!range) return range.status();
  record.base = range->base();
  record.user = geteuid();
  record.group = getegid();
  const Claim claim(*this, record);
  Result<std::unique_ptr<CarvedBacking>> backing =
      CarvedBacking::Create(medium_, record, std::move(*range), format, lock);
  if (!backing) return backing.status();
  NoteName();
  return std::unique_ptr<Backing>(std::move(*backing));
}

Result<std::unique_ptr<CarvedBacking>> CarvedPool::OpenOnce(const std::string& name,
                                                            bool read_only) {
  MORSEL_TRY(medium_->Refresh());
  CarvedMetadata& metadata = medium_->metadata();
  const Result<SlotIndex> slot = metadata.catalog().Find(name);
  if (!slot) return slot.status();
  const CatalogRecord record = metadata.catalog().record(*slot);
  MORSEL_TRY(MayOpen(Identity::OfProcess(), record, read_only, SubjectOf(name)));
  Result<os::AddressRange> range =
      os::AddressRange::Reserve(record.base, RangeBytes(record.capacity_bytes), SubjectOf(name));
  if (!range) return range.status();
  return CarvedBacking::Open(medium_, *slot, record, read_only, std::move(*range));
}

// Whether what was mapped is the morsel's now that it is mapped: another process may have removed
// or shrunk it meanwhile, and given its subtrees to others.
bool CarvedPool::IsStillThere(const CarvedBacking& backing) {
  const KeepLastError keep;
  if (!medium_->Refresh().ok()) return false;
  CarvedMetadata& metadata = medium_->metadata();
  const Result<SlotIndex> slot = metadata.catalog().Find(backing.record().name);
  if (!slot || metadata.catalog().record(*slot).id != backing.record().id) return false;
  const Result<std::vector<SubtreeIndex>> now = metadata.Subtrees(*slot);
  const std::vector<SubtreeIndex>& mapped = backing.mapped();
  return now && now->size() >= mapped.size() &&
         std::equal(mapped.begin(), mapped.end(), now->begin());
}

Result<std::unique_ptr<Backing>> CarvedPool::Open(const std::string& name, bool read_only,
                                                  const image::Progress&) {
  if (!read_only) MORSEL_TRY(MustBeWritable("opened for writing"));
  constexpr int kTriesMax = 100;
  const std::lock_guard lock(medium_->mutex);
  for (int tries = 0; tries < kTriesMax; ++tries) {
    Result<std::unique_ptr<CarvedBacking>> backing = OpenOnce(name, read_only);
    if (!backing) return backing.status();
    if (!read_only_ || IsStillThere(**backing)) {
      if (!read_only) ClaimAddresses((*backing)->record());
      return std::unique_ptr<Backing>(std::move(*backing));
    }
  }
  return Fail(Code::kBusy, "%s is changed by another process faster than it can be opened",
              SubjectOf(name).c_str());
}

CarvedPool::Claim::Claim(CarvedPool& pool, const CatalogRecord& record)
    : pool_(pool), name_(record.name) {
  pool_.claims_.push_back(record);
}

CarvedPool::Claim::~Claim() {
  std::erase_if(pool_.claims_, [this](const CatalogRecord& one) { return one.name == name_; });
}

TakenRanges CarvedPool::Taken() {
  TakenRanges taken = medium_->metadata().catalog().Ranges();
  for (const CatalogRecord& one : claims_) taken.Add(one.base, RangeBytes(one.capacity_bytes));
  return taken;
}

Status CarvedPool::Export(const std::string& name, const os::Directory& to,
                          const std::string& file_name, const ExportRequest& options) {
  const Result<std::unique_ptr<Backing>> backing = Open(name, /*read_only=*/true, {});
  return backing ? (*backing)->Export(to, file_name, options) : backing.status();
}

Status CarvedPool::Remove(const std::string& name) {
  MORSEL_TRY(MustBeWritable("removed"));
  const std::lock_guard lock(medium_->mutex);
  CarvedMetadata& metadata = medium_->metadata();
  const Result<SlotIndex> slot = metadata.catalog().Find(name);
  if (!slot) return slot.status();
  const CatalogRecord record = metadata.catalog().record(*slot);
  MORSEL_TRY(MayRemove(Identity::OfProcess(), record, SubjectOf(name), "removed"));
  MORSEL_TRY(medium_->CheckIsKept());
  medium_->GiveBack(RoleOf(record), metadata.Remove(*slot));
  addresses_.GiveBack(Registered(), SpanOf(record), stamp_);
  return Code::kOk;
}

Status CarvedPool::Rename(const std::string& name, const std::string& to) {
  MORSEL_TRY(MustBeWritable("renamed"));
  const std::lock_guard lock(medium_->mutex);
  CarvedMetadata& metadata = medium_->metadata();
  const Result<SlotIndex> slot = metadata.catalog().Find(name);
  if (!slot) return slot.status();
  MORSEL_TRY(MayRemove(Identity::OfProcess(), metadata.catalog().record(*slot), SubjectOf(name),
                       "renamed"));
  MORSEL_TRY(medium_->CheckIsKept());
  if (metadata.catalog().Find(to).has_value()) {
    return Fail(Code::kExists, "%s exists already; choose another name, or remove it",
                SubjectOf(to).c_str());
  }
  metadata.Rename(*slot, to);
  return Code::kOk;
}

Status CarvedPool::CheckIsKept() const { return read_only_ ? Status() : medium_->CheckIsKept(); }

Status CarvedPool::CheckNotWritten(const std::string&) {
  return read_only_ ? os::CheckNotWritten(medium_->file(), PoolSubject(path_)) : Status();
}

Status CarvedPool::Check(const std::function<void(const Finding&)>& report) {
  const std::lock_guard lock(medium_->mutex);
  MORSEL_TRY(medium_->ReadAgain());
  for (const std::string& message : medium_->metadata().Validate()) {
    report({.subject = PoolSubject(path_), .message = message});
  }
  const Result<std::vector<pmem::ByteRange>> bad = medium_->BadRanges();
  if (!bad) return bad.status();
  const Result<std::vector<Finding>> findings =
      FindingsOf(*bad, medium_->metadata(), PoolSubject(path_), path_);
  if (!findings) return findings.status();
  for (const Finding& finding : *findings) report(finding);
  return Code::kOk;
}

}  // namespace morsel
