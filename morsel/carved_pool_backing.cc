#include "morsel/carved_pool_backing.h"

#include <cinttypes>

#include "base/bits.h"
#include "base/error.h"
#include "morsel/image_record.h"
#include "pmem/frames.h"

namespace morsel {

CarvedBacking::CarvedBacking(std::shared_ptr<CarvedMedium> medium, SlotIndex slot,
                             const Record& record, bool read_only, pmem::AddressRange range)
    : Backing(record, read_only), medium_(std::move(medium)), slot_(slot) {
  range_ = std::move(range);
}

std::string CarvedBacking::Label() const { return "morsel '" + record_.name + "'"; }

Status CarvedBacking::Map(const std::vector<SubtreeIndex>& subtrees) {
  MORSEL_TRY(medium_->Place(range_, 0, RoleOf(record_), subtrees, read_only_, Label()));
  return pmem::PlaceProcessPage(range_, record_.capacity_bytes);
}

Result<std::unique_ptr<CarvedBacking>> CarvedBacking::Create(std::shared_ptr<CarvedMedium> medium,
                                                             const Record& record,
                                                             pmem::AddressRange range,
                                                             const Formatter& format) {
  CarvedMetadata& metadata = medium->metadata();
  const Result<SlotIndex> slot = metadata.catalog().FreeSlot();
  if (!slot) return slot.status();
  const Result<std::vector<SubtreeIndex>> subtrees =
      medium->Grant(RoleOf(record), record.size_bytes);
  if (!subtrees) return subtrees.status();
  std::unique_ptr<CarvedBacking> backing(
      new CarvedBacking(medium, *slot, record, false, std::move(range)));
  if (const Status status = backing->Map(*subtrees); !status.ok()) {
    const KeepLastError keep;
    medium->Return(RoleOf(record), *subtrees);
    return status;
  }
  // The metadata's Create() fences what the formatter flushed before the morsel is true.
  format(record, medium->persist());
  metadata.Create(*slot, record, *subtrees);
  return backing;
}

Result<std::unique_ptr<CarvedBacking>> CarvedBacking::Open(std::shared_ptr<CarvedMedium> medium,
                                                           SlotIndex slot, const Record& record,
                                                           bool read_only,
                                                           pmem::AddressRange range) {
  const Result<std::vector<SubtreeIndex>> subtrees = medium->metadata().Subtrees(slot);
  if (!subtrees) return subtrees.status();
  std::unique_ptr<CarvedBacking> backing(
      new CarvedBacking(std::move(medium), slot, record, read_only, std::move(range)));
  MORSEL_TRY(backing->Map(*subtrees));
  return backing;
}

Status CarvedBacking::Resize(uint64_t size_bytes) {
  const uint64_t unit_bytes = alloc::SubtreesOf(RoleOf(record_)) * kSubtreeBytes;
  if (!IsAligned(size_bytes, unit_bytes) || size_bytes == 0) {
    return Fail(Code::kInvalidArgument,
                "morsel '%s' cannot be %" PRIu64 " bytes long; its size is a multiple of %" PRIu64,
                record_.name.c_str(), size_bytes, unit_bytes);
  }
  if (size_bytes > record_.capacity_bytes) {
    return Fail(Code::kAddressExhausted,
                "morsel '%s' cannot be %" PRIu64 " bytes long: its capacity is %" PRIu64
                ", for good; make one of more capacity",
                record_.name.c_str(), size_bytes, record_.capacity_bytes);
  }
  if (read_only_) {
    return Fail(Code::kPermission, "morsel '%s' is open read-only and keeps its size",
                record_.name.c_str());
  }
  if (size_bytes == record_.size_bytes) return Code::kOk;
  const std::lock_guard lock(medium_->mutex);
  MORSEL_TRY(size_bytes > record_.size_bytes ? Grow(size_bytes) : Shrink(size_bytes));
  record_.size_bytes = size_bytes;
  return Code::kOk;
}

Status CarvedBacking::Grow(uint64_t size_bytes) {
  const alloc::SubtreeRole role = RoleOf(record_);
  const Result<std::vector<SubtreeIndex>> subtrees =
      medium_->Grant(role, size_bytes - record_.size_bytes);
  if (!subtrees) return subtrees.status();
  const Status placed =
      medium_->Place(range_, record_.size_bytes, role, *subtrees, false, Label());
  if (!placed.ok()) {
    const KeepLastError keep;
    medium_->Return(role, *subtrees);
    return placed;
  }
  medium_->metadata().Grow(slot_, *subtrees);
  return Code::kOk;
}

Status CarvedBacking::Shrink(uint64_t size_bytes) {
  // Unmapped first: it may fail, the rest cannot.
  MORSEL_TRY(range_.Withdraw(size_bytes, record_.size_bytes - size_bytes));
  medium_->GiveBack(RoleOf(record_), medium_->metadata().Shrink(slot_, size_bytes));
  return Code::kOk;
}

Status CarvedBacking::Checkpoint(uint64_t live_bytes) {
  if (read_only_) {
    return Fail(Code::kPermission, "morsel '%s' is open read-only", record_.name.c_str());
  }
  const std::lock_guard lock(medium_->mutex);
  medium_->metadata().SetCheckpoint(slot_, live_bytes, record_.generation + 1);
  record_.live_bytes = live_bytes;
  ++record_.generation;
  return Code::kOk;
}

// A heap that a crash left is written as it stands: what its next open recovers, it recovers
// wherever that is.
Status CarvedBacking::Export(const pmem::Directory& to, const std::string& file_name) const {
  return pmem::image::ImageFile::Create(to, file_name, record_.mode, InfoOf(record_), range_.at(0))
      .status();
}

}  // namespace morsel
