// Makes morsels of a carved pool whose bytes are there already: imports images, moves morsels.
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "image/image_copy.h"
#include "morsel/carved/carved_pool.h"
#include "morsel/carved/carved_pool_backing.h"
#include "morsel/carved/carved_pool_permission.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/image_record.h"
#include "morsel/pool/morsel_bytes.h"

namespace morsel {

Status FillDurably(char* memory, uint64_t size_bytes, const FillMemory& fill,
                   pmem::Persist persist) {
  MORSEL_TRY(fill(memory));
  // ORDER  the morsel's bytes  <  the slot is live
  // WHY    a morsel that has a name was made whole. Create() fences before the slot.        [S-4]
  // CRASH  before: the bytes belong to nobody. After: the morsel is there, whole.
  // TEST   morsel/carved/carved_pool_import_test: LoadedBytesAreDurableAfterAFence  <- no flush
  persist.Flush(memory, size_bytes);
  return Code::kOk;
}

Status CarvedPool::CheckUnclaimed(const CatalogRecord& record) const {
  const uint64_t end = record.base + RangeBytes(record.capacity_bytes);
  for (const CatalogRecord& other : claims_) {
    if (end <= other.base || other.base + RangeBytes(other.capacity_bytes) <= record.base) continue;
    return Fail(Code::kAddressTaken,
                "%s cannot be made of the image: morsel '%s', which another thread is making, has "
                "a part of its addresses; choose another pool",
                SubjectOf(record.name).c_str(), other.name.c_str());
  }
  return Code::kOk;
}

// Fills subtrees that are nobody's yet. They are mapped at any free address: the morsel's own range
// may be in use by the one that it is made of. `held` is released while bytes move.
Result<std::vector<SubtreeIndex>> CarvedPool::Fill(const CatalogRecord& record,
                                                   const FillMemory& fill,
                                                   std::unique_lock<Mutex>& held) {
  const Window window = {superblock().window_begin, superblock().window_end};
  Result<os::AddressRange> range =
      ReserveNew(window, record.id, record.size_bytes, {}, SubjectOf(record.name));
  if (!range) return range.status();
  const alloc::SubtreeRole role = RoleOf(record);
  Result<std::vector<SubtreeIndex>> subtrees = medium_->Grant(role, record.size_bytes, &held);
  if (!subtrees) return subtrees;
  Status filled = medium_->Place(*range, 0, role, *subtrees, false, "morsel '" + record.name + "'");
  if (filled.ok()) {
    held.unlock();
    filled = FillDurably(range->at(0), record.size_bytes, fill, medium_->persist());
    held.lock();
  }
  if (filled.ok()) return subtrees;
  const KeepLastError keep;
  medium_->Return(role, *subtrees);
  return filled;
}

Status CarvedPool::Import(const std::string& name, const image::ImageFile& image, bool replaces) {
  const Result<CatalogRecord> found = RecordOf(name, image.file(), image.info());
  if (!found) return found.status();
  MakingWhole making{.record = *found, .replaces = replaces};
  making.record.mode &= kPermissionBits;
  making.fill = [&](char* memory, const CatalogRecord&) {
    return image::LoadBesideWriter(image, memory);
  };
  return MakeWhole(making);
}

// Whoever has the pool open for writing keeps all others from writing it.
Result<std::unique_ptr<MorselBytes>> CarvedPool::BytesOf(const std::string& name, bool) {
  MORSEL_TRY(CheckNotWritten(name));
  Result<std::unique_ptr<Backing>> backing = Open(name, /*read_only=*/true, {});
  if (!backing) return backing.status();
  return std::unique_ptr<MorselBytes>(new BytesOfBacking(std::move(*backing), nullptr));
}

// Chooses the addresses of a morsel that is to be made whole, if its record says none, and checks
// them, if it does.
Status CarvedPool::SettleBase(CatalogRecord& record, const MakingWhole& making,
                              std::unique_lock<Mutex>& held) {
  const Window window = {superblock().window_begin, superblock().window_end};
  if (record.base == 0) {
    const Result<os::AddressRange> range = TakeRange(record, making.moved_from);
    if (!range) return range.status();
    record.base = range->base();
    return Code::kOk;
  }
  MORSEL_TRY(CheckUnclaimed(record));
  const Claim claim(*this, record);
  held.unlock();
  const Status room = CheckRoomFor(*this, record, making.replaces);
  held.lock();
  MORSEL_TRY(room);
  const uint64_t unit_bytes = alloc::SubtreesOf(RoleOf(record)) * kSubtreeBytes;
  return CheckPlaceFor(*this, window, unit_bytes, record);
}

// The slot of the morsel that gives way to the one of `making`.
Result<std::optional<SlotIndex>> CarvedPool::Replaced(const MakingWhole& making) {
  const Catalog& catalog = medium_->metadata().catalog();
  const Result<SlotIndex> slot = catalog.Find(making.record.name);
  if (!slot && slot.error() == Code::kNotFound) return std::optional<SlotIndex>();
  if (!slot) return slot.status();
  if (!making.replaces) {
    return Fail(Code::kExists, "%s exists already; choose another name, or replace it",
                SubjectOf(making.record.name).c_str());
  }
  MORSEL_TRY(MayRemove(Identity::OfProcess(), catalog.record(*slot), SubjectOf(making.record.name),
                       "replaced"));
  return std::optional(*slot);
}

namespace {

// What is made of another's bytes belongs to who makes it, and gives nobody more than that did. A
// catalog has no access control lists.
void TakeOver(CatalogRecord& record) {
  const Identity who = Identity::OfProcess();
  os::FileRights rights = os::WithoutAcl(RightsOf(record));
  const bool may_give_group =
      who.user == 0 || std::count(who.groups.begin(), who.groups.end(), record.group) != 0;
  if (!may_give_group) {
    rights = os::WithoutGroup(rights);
    record.group = getegid();
  }
  record.user = geteuid();
  record.mode = rights.mode;
  record.acl.clear();
}

}  // namespace

Status CarvedPool::MakeWhole(const MakingWhole& making) {
  MORSEL_TRY(MustBeWritable("made"));
  // The heap knows its capacity, so the capacity is not rounded up to the medium's units.
  CatalogRecord record = Carved(making.record);
  record.capacity_bytes = making.record.capacity_bytes;
  record.codec = image::Codec::kNone;
  if (!making.is_kept) TakeOver(record);
  std::unique_lock lock(medium_->mutex);
  MORSEL_TRY(SettleBase(record, making, lock));
  const Claim claim(*this, record);
  CarvedMetadata& metadata = medium_->metadata();
  MORSEL_TRY(Replaced(making).status());
  MORSEL_TRY(metadata.catalog().FreeSlot().status());
  const FillMemory fill = [&](char* memory) { return making.fill(memory, record); };
  const Result<std::vector<SubtreeIndex>> subtrees = Fill(record, fill, lock);
  if (!subtrees) return subtrees.status();
  // Another may have taken the slot meanwhile.
  const Result<SlotIndex> slot = metadata.catalog().FreeSlot();
  const Result<std::optional<SlotIndex>> replaced = Replaced(making);
  if (!slot || !replaced) {
    const KeepLastError keep;
    medium_->Return(RoleOf(record), *subtrees);
    return slot ? replaced.status() : slot.status();
  }
  ClaimAddresses(record);
  if (*replaced) {
    const CatalogRecord before = metadata.catalog().record(**replaced);
    if (making.is_kept) {  // it stays its owner's, whoever moves it
      record.user = before.user;
      record.group = before.group;
    }
    medium_->GiveBack(RoleOf(before), metadata.Replace(**replaced, *slot, record, *subtrees));
    NoteName();
    addresses_.GiveBackAllBut(Registered(), SpanOf(before), SpanOf(record), stamp_);
    return Code::kOk;
  }
  metadata.Create(*slot, record, *subtrees);
  NoteName();
  return Code::kOk;
}

}  // namespace morsel
