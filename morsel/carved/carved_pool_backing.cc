#include "morsel/carved/carved_pool_backing.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "base/bits.h"
#include "base/error.h"
#include "base/size_words.h"
#include "morsel/pool/image_record.h"
#include "os/memory/frames.h"
#include "os/memory/page_filter.h"
#include "os/memory/page_set.h"

namespace morsel {

CarvedBacking::CarvedBacking(std::shared_ptr<CarvedMedium> medium, SlotIndex slot,
                             const CatalogRecord& record, bool read_only, os::AddressRange range)
    : Backing(record, read_only), medium_(std::move(medium)), slot_(slot) {
  range_ = std::move(range);
}

std::string CarvedBacking::Label() const { return "morsel '" + record_.name + "'"; }

Status CarvedBacking::Map(const std::vector<SubtreeIndex>& subtrees) {
  MORSEL_TRY(medium_->Place(range_, 0, RoleOf(record_), subtrees, read_only_, Label()));
  return os::PlaceProcessPage(range_, record_.capacity_bytes);
}

Result<std::unique_ptr<CarvedBacking>> CarvedBacking::Create(std::shared_ptr<CarvedMedium> medium,
                                                             const CatalogRecord& record,
                                                             os::AddressRange range,
                                                             const Formatter& format,
                                                             std::unique_lock<Mutex>& held) {
  CarvedMetadata& metadata = medium->metadata();
  MORSEL_TRY(metadata.catalog().FreeSlot().status());
  const Result<std::vector<SubtreeIndex>> subtrees =
      medium->Grant(RoleOf(record), record.size_bytes, &held);
  if (!subtrees) return subtrees.status();
  // Another may have taken the slot meanwhile.
  const Result<SlotIndex> slot = metadata.catalog().FreeSlot();
  Status status = slot.status();
  std::unique_ptr<CarvedBacking> backing;
  if (status.ok()) {
    backing.reset(new CarvedBacking(medium, *slot, record, false, std::move(range)));
    status = backing->Map(*subtrees);
  }
  if (!status.ok()) {
    const KeepLastError keep;
    medium->Return(RoleOf(record), *subtrees);
    return status;
  }
  // metadata.Create() fences what the formatter flushed, before it publishes the morsel.
  format(record, medium->persist());
  metadata.Create(*slot, record, *subtrees);
  return backing;
}

Result<std::unique_ptr<CarvedBacking>> CarvedBacking::Open(std::shared_ptr<CarvedMedium> medium,
                                                           SlotIndex slot,
                                                           const CatalogRecord& record,
                                                           bool read_only, os::AddressRange range) {
  const Result<std::vector<SubtreeIndex>> subtrees = medium->metadata().Subtrees(slot);
  if (!subtrees) return subtrees.status();
  std::unique_ptr<CarvedBacking> backing(
      new CarvedBacking(std::move(medium), slot, record, read_only, std::move(range)));
  MORSEL_TRY(backing->Map(*subtrees));
  if (read_only) backing->mapped_ = *subtrees;
  return backing;
}

// Who only reads has what it mapped, whatever became of the slot since.
Result<std::vector<SubtreeIndex>> CarvedBacking::Subtrees() const {
  if (read_only_) return mapped_;
  const std::lock_guard lock(medium_->mutex);
  return medium_->metadata().Subtrees(slot_);
}

Status CarvedBacking::Resize(uint64_t size_bytes) {
  const uint64_t unit_bytes = alloc::SubtreesOf(RoleOf(record_)) * kSubtreeBytes;
  if (!IsAligned(size_bytes, unit_bytes) || size_bytes == 0) {
    return Fail(Code::kInvalidArgument,
                "morsel '%s' cannot be %s long; its size is a multiple of %s", record_.name.c_str(),
                FormatSizeExactly(size_bytes).c_str(), FormatSizeExactly(unit_bytes).c_str());
  }
  if (size_bytes > record_.capacity_bytes) {
    return Fail(Code::kAddressExhausted,
                "morsel '%s' cannot be %s long: its capacity is %s, for good; make one of more "
                "capacity",
                record_.name.c_str(), FormatSizeExactly(size_bytes).c_str(),
                FormatSizeExactly(record_.capacity_bytes).c_str());
  }
  if (read_only_) {
    return Fail(Code::kPermission, "morsel '%s' is open read-only and keeps its size",
                record_.name.c_str());
  }
  if (size_bytes == record_.size_bytes) return Code::kOk;
  std::unique_lock lock(medium_->mutex);
  MORSEL_TRY(size_bytes > record_.size_bytes ? Grow(size_bytes, lock) : Shrink(size_bytes));
  record_.size_bytes = size_bytes;
  return Code::kOk;
}

Status CarvedBacking::Grow(uint64_t size_bytes, std::unique_lock<Mutex>& held) {
  const alloc::SubtreeRole role = RoleOf(record_);
  const Result<std::vector<SubtreeIndex>> subtrees =
      medium_->Grant(role, size_bytes - record_.size_bytes, &held);
  if (!subtrees) return subtrees.status();
  const Status placed = medium_->Place(range_, record_.size_bytes, role, *subtrees, false, Label());
  if (!placed.ok()) {
    const KeepLastError keep;
    medium_->Return(role, *subtrees);
    return placed;
  }
  medium_->metadata().Grow(slot_, *subtrees);
  return Code::kOk;
}

Status CarvedBacking::Shrink(uint64_t size_bytes) {
  MORSEL_TRY(medium_->CheckIsKept());
  // The memory is unmapped first, because that may fail and the rest cannot.
  MORSEL_TRY(range_.Withdraw(size_bytes, record_.size_bytes - size_bytes));
  medium_->GiveBack(RoleOf(record_), medium_->metadata().Shrink(slot_, size_bytes));
  return Code::kOk;
}

Status CarvedBacking::Checkpoint(uint64_t live_bytes, const Copied&) {
  if (read_only_) {
    return Fail(Code::kPermission, "morsel '%s' is open read-only", record_.name.c_str());
  }
  const std::lock_guard lock(medium_->mutex);
  MORSEL_TRY(medium_->CheckIsKept());
  medium_->metadata().SetCheckpoint(slot_, live_bytes, record_.generation + 1);
  record_.live_bytes = live_bytes;
  ++record_.generation;
  return Code::kOk;
}

// Returns the ranges that cannot be read, in whole pages, as offsets in the morsel: those that the
// kernel lists as bad, which are not touched, and those that have no memory behind them. Ranges may
// share a page.
Result<std::vector<pmem::ByteRange>> CarvedBacking::BadRanges() const {
  std::vector<pmem::DeviceExtent> extents;
  const Result<std::vector<SubtreeIndex>> subtrees = Subtrees();
  if (!subtrees) return subtrees.status();
  const uint64_t data_offset = medium_->superblock().data_offset;
  const uint64_t unit_bytes = alloc::SubtreesOf(RoleOf(record_)) * kSubtreeBytes;
  for (const SubtreeIndex subtree : *subtrees) {
    extents.push_back(
        {extents.size() * unit_bytes, data_offset + subtree.value() * kSubtreeBytes, unit_bytes});
  }
  const Result<std::vector<pmem::ByteRange>> listed = medium_->BadRanges();
  if (!listed) return listed.status();
  std::vector<pmem::ByteRange> bad = pmem::UnreadableRanges(range_.at(0), record_.size_bytes);
  for (const pmem::ByteRange& range : pmem::BadOfFile(extents, *listed)) {
    const uint64_t begin = AlignDown(range.offset, kPageBytes);
    const uint64_t end = AlignUp(range.offset + range.size_bytes, kPageBytes);
    const bool is_known = std::any_of(bad.begin(), bad.end(), [&](const pmem::ByteRange& known) {
      return known.offset <= begin && end <= known.offset + known.size_bytes;
    });
    if (!is_known) bad.push_back({begin, end - begin});
  }
  return bad;
}

namespace {

// Selects all pages but the bad ones, so that those are written as zeros.
class ReadableExceptBad final : public os::PageFilter {
 public:
  explicit ReadableExceptBad(const std::vector<pmem::ByteRange>& bad) {
    for (const pmem::ByteRange& range : bad) bad_.Add(range.offset, range.size_bytes);
  }
  os::PageSet::Pages Of(SubtreePosition position) const override {
    const os::PageSet::Pages* const bad = bad_.Of(position);
    return bad == nullptr ? os::PageSet::Pages().set() : ~*bad;
  }

 private:
  os::PageSet bad_;
};

std::string MessageOf(const CatalogRecord& record, const pmem::ByteRange& range) {
  char text[160];
  std::snprintf(text, sizeof text,
                ": %" PRIu64 " bytes at offset 0x%" PRIx64 " (address 0x%" PRIx64
                ") cannot be read: the medium is bad there, or is gone",
                range.size_bytes, range.offset, record.base + range.offset);
  return "morsel '" + record.name + "'" + text;
}

}  // namespace

// If a crash left the heap, its memory is exported as it stands: whoever opens the heap next
// recovers it, in whichever pool that is.
Status CarvedBacking::Export(const os::Directory& to, const std::string& file_name,
                             const ExportRequest& options) {
  const Result<std::vector<pmem::ByteRange>> bad = BadRanges();
  if (!bad) return bad.status();
  if (!bad->empty() && options.skipped == nullptr) {
    return Fail(Code::kIo,
                "%s%s; nothing was made. `morselctl export --salvage` writes all else, with zeros "
                "there",
                MessageOf(record_, bad->front()).c_str(), bad->size() > 1 ? ", and elsewhere" : "");
  }
  for (const pmem::ByteRange& range : *bad) options.skipped(MessageOf(record_, range));
  const ReadableExceptBad intact(*bad);
  image::ImageInfo info = record_;
  info.carried_name = record_.name;
  info.codec = options.codec.value_or(image::Codec::kNone);
  return image::ImageFile::Create(to, file_name, RightsOfCopy(record_), info, range_.at(0),
                                  bad->empty() ? nullptr : &intact, options.progress)
      .status();
}

}  // namespace morsel
