#include "morsel/carved/fine_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "base/descriptor_floor.h"
#include "base/error.h"
#include "morsel/carved/bad_ranges_in_pool.h"
#include "morsel/carved/carved_pool_backing.h"
#include "morsel/carved/carved_pool_superblock.h"

namespace morsel {
namespace {

constexpr uint64_t kSuperblocksBytes = kSuperblocks * kSuperblockBytes;

std::string SubjectOf(const os::File& file) { return "'" + file.path() + "'"; }

struct Unmap {
  uint64_t size_bytes = 0;
  void operator()(char* bytes) const { munmap(bytes, size_bytes); }
};

// The metadata of a file, read into memory and not mapped. What the file does not really hold,
// since there is a hole in it, takes no memory.
struct Copy {
  std::unique_ptr<char, Unmap> bytes;
  std::unique_ptr<CarvedMetadata> metadata;
};

// Reads [0, size_bytes) of the file into memory that is zero.
Status ReadWhatIsThere(const os::File& file, uint64_t size_bytes, char* bytes) {
  const auto end = static_cast<off_t>(size_bytes);
  for (off_t at = 0; at < end;) {
    const off_t data = lseek(file.descriptor(), at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return Code::kOk;  // holes to the end
    const bool knows_holes = data >= 0;
    const off_t begin = knows_holes ? data : at;
    if (begin >= end) return Code::kOk;
    const off_t hole = knows_holes ? lseek(file.descriptor(), begin, SEEK_HOLE) : end;
    at = hole > begin ? std::min(hole, end) : end;
    MORSEL_TRY(file.ReadExactly(bytes + begin, static_cast<size_t>(at - begin),
                                static_cast<uint64_t>(begin)));
  }
  return Code::kOk;
}

Result<Copy> ReadMetadata(const os::File& file) {
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return size_bytes.status();
  OnHeap<PoolBeginning> superblocks;
  MORSEL_TRY(file.ReadExactly(superblocks->bytes, kSuperblocksBytes, 0));
  const Result<OnHeap<PoolSuperblock>> superblock =
      ChooseSuperblock(superblocks->bytes, *size_bytes, SubjectOf(file));
  if (!superblock) return superblock.status();
  const uint64_t metadata_bytes = (*superblock)->metadata_bytes;
  void* const memory = mmap(nullptr, metadata_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return Fail(Code::kNoMemory, "%s: no memory for its catalog", SubjectOf(file).c_str());
  }
  Copy copy;
  copy.bytes = std::unique_ptr<char, Unmap>(static_cast<char*>(memory), {metadata_bytes});
  MORSEL_TRY(ReadWhatIsThere(file, metadata_bytes, copy.bytes.get()));
  Result<std::unique_ptr<CarvedMetadata>> metadata =
      CarvedMetadata::Open(copy.bytes.get(), *superblock, pmem::VolatilePersist(),
                           CarvedMetadata::Access::kReadOwn, SubjectOf(file));
  if (!metadata) return metadata.status();
  copy.metadata = std::move(*metadata);
  return copy;
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
  return record;
}

Result<FineMorsel> MakeIn(const os::File& file, const Window& window, const CatalogRecord& record,
                          os::AddressRange range, const Formatter& format) {
  const Result<OnHeap<PoolSuperblock>> plan =
      PlanSingle(record.capacity_bytes, window, record.id, SubjectOf(file));
  if (!plan) return plan.status();
  MORSEL_TRY(CarvedMedium::FormatFile(file, **plan));
  const DescriptorFloor floor;
  const int descriptor = fcntl(file.descriptor(), F_DUPFD_CLOEXEC, 0);
  if (descriptor < 0) return FailErrno("'%s'", file.path().c_str());
  Result<std::unique_ptr<CarvedMedium>> medium =
      CarvedMedium::Open(os::File(file.calls(), descriptor, file.path()), false, SubjectOf(file),
                         CarvedMedium::As::kSingleMorsel);
  if (!medium) return medium.status();
  const std::shared_ptr<CarvedMedium> shared = std::move(*medium);
  const std::lock_guard lock(shared->mutex);
  Result<std::unique_ptr<CarvedBacking>> backing =
      CarvedBacking::Create(shared, record, std::move(range), format);
  if (!backing) return backing.status();
  return FineMorsel{std::move(*backing), shared};
}

}  // namespace

Result<bool> LooksLikeFineFile(const os::File& file) {
  const Result<uint64_t> size_bytes = file.SizeBytes();
  if (!size_bytes) return size_bytes.status();
  OnHeap<PoolBeginning> both;
  char(&superblocks)[kSuperblocksBytes] = both->bytes;
  if (*size_bytes < sizeof superblocks) return false;
  MORSEL_TRY(file.ReadExactly(superblocks, sizeof superblocks, 0));
  return LooksSingle(superblocks);
}

Result<CatalogRecord> ReadFineFile(const os::File& file, const std::string& name) {
  const Result<Copy> copy = ReadMetadata(file);
  if (!copy) return copy.status();
  const Catalog& catalog = copy->metadata->catalog();
  const Result<SlotIndex> slot = OnlySlot(catalog, file.path());
  if (!slot) return slot.status();
  return Named(catalog.record(*slot), name, file);
}

Result<CatalogRecord> ReadOpenFineFile(CarvedMedium& medium, const os::File& file,
                                       const std::string& name) {
  const std::lock_guard lock(medium.mutex);
  const Catalog& catalog = medium.metadata().catalog();
  const Result<SlotIndex> slot = OnlySlot(catalog, file.path());
  if (!slot) return slot.status();
  return Named(catalog.record(*slot), name, file);
}

Result<std::vector<Finding>> CheckFineFile(const os::File& file, const std::string& subject) {
  const Result<Copy> copy = ReadMetadata(file);
  if (!copy) return copy.status();
  const Result<std::vector<pmem::ByteRange>> bad = pmem::BadRangesOf(file);
  if (!bad) return bad.status();
  Result<std::vector<Finding>> findings = FindingsOf(*bad, *copy->metadata, subject, file.path());
  if (!findings) return findings.status();
  // The findings name the morsel as its slot does; the file's name counts.
  for (Finding& finding : *findings) finding.subject = subject;
  for (const std::string& message : copy->metadata->Validate()) {
    findings->push_back({.subject = subject, .message = message});
  }
  return findings;
}

namespace {

// Makes the morsel in a temporary file and then gives the file its name. `filled` is read after
// `format` has run: if it is an error, the file does not get its name.
Result<FineMorsel> MakeNamed(const os::Directory& directory, const Window& window,
                             const CatalogRecord& record, os::AddressRange range,
                             const Formatter& format, const Status& filled) {
  const Result<os::TemporaryFile> temporary = directory.MakeTemporary(record.name, record.mode);
  if (!temporary) return temporary.status();
  Result<FineMorsel> made = MakeIn(temporary->file, window, record, std::move(range), format);
  Status status = made.status();
  if (status.ok()) status = filled;
  if (status.ok()) status = directory.Publish(temporary->file, temporary->name, record.name);
  if (status.ok()) return made;
  const KeepLastError keep;
  directory.Abandon(temporary->name);
  return status;
}

}  // namespace

Result<FineMorsel> CreateFineFile(const os::Directory& directory, const Window& window,
                                  const CatalogRecord& record, os::AddressRange range,
                                  const Formatter& format) {
  return MakeNamed(directory, window, record, std::move(range), format, Code::kOk);
}

Status ImportFineFile(const os::Directory& directory, const Window& window,
                      const CatalogRecord& record, const image::ImageFile& image) {
  Result<os::AddressRange> range =
      ReserveNew(window, record.id, record.capacity_bytes, {}, "morsel '" + record.name + "'");
  if (!range) return range.status();
  char* const memory = static_cast<char*>(range->at(0));
  Status filled;
  const Formatter load = [&](const CatalogRecord&, pmem::Persist persist) {
    filled = FillFromImage(memory, record.size_bytes, image, persist);
  };
  return MakeNamed(directory, window, record, std::move(*range), load, filled).status();
}

Result<FineMorsel> OpenFineFile(os::File file, const std::string& name, bool read_only,
                                const std::string& label) {
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
  Result<os::AddressRange> range =
      os::AddressRange::Reserve(record.base, RangeBytes(record.capacity_bytes), label);
  if (!range) return range.status();
  Result<std::unique_ptr<CarvedBacking>> backing =
      CarvedBacking::Open(shared, *slot, record, read_only, std::move(*range));
  if (!backing) return backing.status();
  return FineMorsel{std::move(*backing), shared};
}

}  // namespace morsel
