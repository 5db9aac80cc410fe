#include "morsel/carved/carved_pool_medium.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdlib>

#include "base/bits.h"
#include "base/error.h"
#include "morsel/carved/carved_pool_superblock.h"
#include "morsel/pool/address_window.h"
#include "os/memory/bus_error.h"
#include "pmem/media/dax_file.h"
#include "pmem/media/media.h"
#include "pmem/media/power_safety.h"

namespace morsel {
namespace {

constexpr size_t kSuperblocksBytes = kSuperblocks * kSuperblockBytes;

Result<OnHeap<PoolSuperblock>> FindSuperblock(const os::File& file, const pmem::Medium& medium,
                                              const pmem::MediumSpace& space,
                                              const std::string& subject) {
  if (space.size_bytes < kSuperblocksBytes) {
    return Fail(Code::kCorrupt,
                "%s is no morsel pool, or was truncated: it is %" PRIu64
                " bytes long; restore it from a copy, or name a pool",
                subject.c_str(), space.size_bytes);
  }
  OnHeap<PoolBeginning> both;
  char* const superblocks = both->bytes;
  MORSEL_TRY(medium.ReadFirst(file, superblocks, kSuperblocksBytes));
  const std::string how_to_format = medium.HowToFormat(file.path());
  if (!how_to_format.empty() && LooksForeign(superblocks)) {
    return Fail(Code::kCorrupt, "%s is no morsel pool: there is no superblock; %s", subject.c_str(),
                how_to_format.c_str());
  }
  const Result<OnHeap<PoolSuperblock>> chosen =
      ChooseSuperblock(superblocks, space.size_bytes, subject);
  if (chosen && !IsAligned((*chosen)->unit_bytes, space.align_bytes)) {
    return Fail(Code::kUnsupported,
                "%s is carved into units of %" PRIu64
                " bytes, and the device maps units of %" PRIu64
                " only; give it back the alignment that it was formatted with",
                subject.c_str(), (*chosen)->unit_bytes, space.align_bytes);
  }
  return chosen;
}

Status MustBe(CarvedMedium::As as, const PoolSuperblock& superblock, const std::string& subject) {
  const bool is_single = (superblock.features & kPoolSingle) != 0;
  if (is_single == (as == CarvedMedium::As::kSingleMorsel)) return Code::kOk;
  return Fail(Code::kInvalidArgument,
              is_single
                  ? "%s is one morsel of a directory pool: open the directory that it lies in"
                  : "%s is a carved pool, and no morsel of a directory pool: open it by its path",
              subject.c_str());
}

}  // namespace

Status CarvedMedium::Format(const os::File& file, uint64_t size_bytes, const std::string& subject) {
  const Result<Window> window = WindowFromEnvironment();
  if (!window) return window.status();
  const Result<Id> id = RandomId();
  if (!id) return id.status();
  const Result<OnHeap<PoolSuperblock>> plan = PlanSuperblock(size_bytes, *window, *id, subject);
  if (!plan) return plan.status();
  return FormatFile(file, **plan);
}

Status CarvedMedium::FormatFile(const os::File& file, const PoolSuperblock& plan) {
  pmem::PreferHugeExtents(file);
  MORSEL_TRY(file.Resize(plan.size_bytes));
  const pmem::Medium& medium = pmem::MediumOf(file, pmem::PoolPart::kCarvedPool);
  MORSEL_TRY(medium.PrepareNew(file, plan.data_offset));
  MORSEL_TRY(medium.TakeSpace(file, 0, plan.metadata_bytes));
  return FormatMapped(file, plan, plan.metadata_bytes);
}

Status CarvedMedium::FormatMapped(const os::File& file, const PoolSuperblock& plan,
                                  uint64_t mapped_bytes) {
  const Result<pmem::Pmem2Mapping> mapping = pmem::Pmem2Mapping::Map(file, mapped_bytes, false);
  if (!mapping) return mapping.status();
  FormatPool(mapping->memory(), plan, mapping->persist());
  return Code::kOk;
}

Result<OnHeap<PoolSuperblock>> CarvedMedium::PlanDevice(const pmem::MediumSpace& device,
                                                        const std::string& subject) {
  const Result<Window> window = WindowFromEnvironment();
  if (!window) return window.status();
  const Result<Id> id = RandomId();
  if (!id) return id.status();
  const uint64_t unit_bytes = std::max(device.align_bytes, kSubtreeBytes);
  return PlanSuperblock(AlignDown(device.size_bytes, unit_bytes), *window, *id, subject,
                        unit_bytes);
}

// A device maps whole units only, and the data begins at a unit.
Status CarvedMedium::FormatDevice(const os::File& file, const PoolSuperblock& plan) {
  return FormatMapped(file, plan, plan.data_offset);
}

Result<std::unique_ptr<CarvedMedium>> CarvedMedium::Open(os::File file, bool read_only,
                                                         const std::string& subject, As as) {
  const pmem::Medium& below = pmem::MediumOf(file, pmem::PoolPart::kCarvedPool);
  const Result<pmem::MediumSpace> space = below.SpaceOf(file);
  if (!space) return space.status();
  const Result<OnHeap<PoolSuperblock>> chosen = FindSuperblock(file, below, *space, subject);
  if (!chosen) return chosen.status();
  MORSEL_TRY(MustBe(as, **chosen, subject));
  if (!read_only) MORSEL_TRY(below.TakeSpace(file, 0, (*chosen)->metadata_bytes));

  std::unique_ptr<CarvedMedium> medium(new CarvedMedium(below));
  medium->file_ = std::move(file);
  medium->read_only_ = read_only;
  medium->was_named_ = medium->IsNamed();
  Result<pmem::Pmem2Mapping> mapping = pmem::Pmem2Mapping::Map(
      medium->file_, AlignUp((*chosen)->metadata_bytes, space->align_bytes), read_only);
  if (!mapping) return mapping.status();
  medium->mapping_ = std::move(*mapping);
  MORSEL_TRY(medium->MustFlush());
  os::WatchForBusErrors(os::Watches::kTables, medium->mapping_.memory(),
                        medium->mapping_.size_bytes(), 0, subject, medium->file_.path());
  medium->subject_ = subject;
  medium->superblock_ = *chosen;
  if (read_only) {
    MORSEL_TRY(medium->Refresh());
    return medium;
  }
  Result<std::unique_ptr<CarvedMetadata>> metadata =
      CarvedMetadata::Open(medium->mapping_.memory(), **chosen, medium->persist(),
                           CarvedMetadata::Access::kWrite, subject);
  if (!metadata) return metadata.status();
  medium->metadata_ = std::move(*metadata);
  MORSEL_TRY(medium->FindSparse());
  return medium;
}

Status CarvedMedium::Refresh() {
  if (!read_only_) return Code::kOk;
  if (copy_ != nullptr) {
    const Result<bool> is_current = copy_->IsCurrent(file_, *superblock_, MappedToRead());
    if (!is_current) return is_current.status();
    if (*is_current) return Code::kOk;
  }
  return ReadAgain();
}

const char* CarvedMedium::MappedToRead() const {
  return medium_.CanBeRead() ? nullptr : mapping_.memory();
}

Status CarvedMedium::ReadAgain() {
  if (!read_only_) return Code::kOk;
  Result<std::unique_ptr<MetadataCopy>> copy =
      MetadataCopy::Take(file_, *superblock_, MappedToRead(), subject_);
  if (!copy) return copy.status();
  copy_ = std::move(*copy);
  return Code::kOk;
}

// The file behind a device's node is the driver's: the node may be made anew at any time.
bool CarvedMedium::IsNamed() const {
  struct stat status;
  return fstat(file_.descriptor(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink > 0;
}

Status CarvedMedium::CheckIsKept() const {
  if (file_.descriptor() < 0) {
    errno = EBADF;
    return FailErrno("%s is not locked any more, and is not changed", subject_.c_str());
  }
  if (!was_named_ || IsNamed()) return Code::kOk;
  return Fail(Code::kNotFound,
              "%s was removed while it was open: nothing in it can be kept; export what matters "
              "(morsel_export), and close it",
              subject_.c_str());
}

// PMEM2_FORCE_GRANULARITY may let ordinary memory stand in for persistent memory, and may ask for
// more flushes than are needed. It may never leave out flushes that are needed.
Status CarvedMedium::MustFlush() const {
  const char* const forced = std::getenv("PMEM2_FORCE_GRANULARITY");
  if (!medium_.is_persistent_memory() || granularity_bytes() != 1 || forced == nullptr ||
      *forced == '\0') {
    return Code::kOk;
  }
  if (pmem::PowerSafetyOf(file_.path()).keeps_caches) return Code::kOk;
  return Fail(Code::kUnsupported,
              "'%s': PMEM2_FORCE_GRANULARITY=%s would leave out flushes, and the platform does not "
              "say that it keeps processor caches at power-off; take the variable away",
              file_.path().c_str(), forced);
}

CarvedMedium::~CarvedMedium() {
  // A forked child has neither the descriptor nor the mapping.
  if (metadata_ != nullptr && file_.is_open()) metadata_->Close();
  if (file_.is_open()) os::ForgetBusErrors(mapping_.memory(), mapping_.size_bytes());
}

// A copy of a pool may have holes where the original had zeros.
Status CarvedMedium::FindSparse() {
  const Result<bool> is_sparse =
      medium_.MayHaveHoles(file_, superblock_->metadata_bytes + metadata_->catalog().size_bytes());
  if (!is_sparse) return is_sparse.status();
  is_sparse_ = *is_sparse;
  return Code::kOk;
}

// Calls visit(offset in the file, offset from the first subtree's begin, bytes) for each run of
// adjacent subtrees.
template <class Visit>
Status CarvedMedium::ForEachRun(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees,
                                Visit visit) const {
  const uint64_t stride = alloc::SubtreesOf(role);
  const uint64_t unit_bytes = stride * kSubtreeBytes;
  for (size_t begin = 0; begin < subtrees.size();) {
    size_t end = begin + 1;
    while (end < subtrees.size() && subtrees[end].value() == subtrees[end - 1].value() + stride) {
      ++end;
    }
    MORSEL_TRY(visit(superblock_->data_offset + subtrees[begin].value() * kSubtreeBytes,
                     begin * unit_bytes, (end - begin) * unit_bytes));
    begin = end;
  }
  return Code::kOk;
}

Result<std::vector<SubtreeIndex>> CarvedMedium::Grant(alloc::SubtreeRole role, uint64_t size_bytes,
                                                      std::unique_lock<Mutex>* held) {
  MORSEL_TRY(CheckIsKept());
  Result<std::vector<SubtreeIndex>> subtrees = metadata_->Reserve(role, size_bytes);
  if (!subtrees) return subtrees;
  // Nobody else can have the subtrees once they are claimed, and filling them with zeros uses
  // nothing that the mutex guards.
  if (held != nullptr) held->unlock();
  Status status = ForEachRun(role, *subtrees, [&](uint64_t offset, uint64_t, uint64_t run_bytes) {
    return medium_.Zero(file_, offset, run_bytes, persist());
  });
  // ORDER  space and its zeros, synced  <  the words that give it an owner
  // WHY    until the sync a crash may bring back the old content, in a morsel whose new memory must
  //        be zero, or leave no space there.
  // CRASH  before: the space is free. After: it is zero, whoever owns it.
  // TEST   morsel/open/carved_pool_sim_test: Sequences
  if (status.ok()) status = medium_.SyncSpace(file_);
  if (held != nullptr) held->lock();
  if (status.ok()) return subtrees;
  const KeepLastError keep;
  Return(role, *subtrees);
  return status;
}

void CarvedMedium::Return(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees) {
  metadata_->Cancel(role, subtrees);
  GiveBack(role, subtrees);
}

void CarvedMedium::GiveBack(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees) {
  (void)ForEachRun(role, subtrees, [&](uint64_t offset, uint64_t, uint64_t run_bytes) {
    medium_.GiveBack(file_, offset, run_bytes);
    return Status();
  });
}

Status CarvedMedium::Place(os::AddressRange& range, uint64_t offset, alloc::SubtreeRole role,
                           const std::vector<SubtreeIndex>& subtrees, bool read_only,
                           const std::string& label) {
  uint64_t placed_bytes = 0;
  const Status status =
      ForEachRun(role, subtrees, [&](uint64_t file_offset, uint64_t from, uint64_t run_bytes) {
        if (is_sparse_ && !read_only_) MORSEL_TRY(medium_.TakeSpace(file_, file_offset, run_bytes));
        const Result<void*> mapping = pmem::MapPart(file_, file_offset, run_bytes, read_only);
        if (!mapping) return mapping.status();
        const Status done = range.Place(*mapping, offset + from, run_bytes);
        if (!done.ok()) {
          munmap(*mapping, run_bytes);
          return done;
        }
        placed_bytes = from + run_bytes;
        os::WatchForBusErrors(os::Watches::kMorsel, range.at(offset + from), run_bytes, file_offset,
                              label, file_.path());
        return done;
      });
  if (status.ok() || placed_bytes == 0) return status;
  const KeepLastError keep;
  MORSEL_TRY(range.Withdraw(offset, placed_bytes));
  return status;
}

}  // namespace morsel
