// Imports an image as a morsel of a carved pool.
#include <unistd.h>

#include "base/error.h"
#include "image/image_copy.h"
#include "morsel/carved/carved_pool.h"
#include "morsel/carved/carved_pool_backing.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/image_record.h"

namespace morsel {

Status FillFromImage(char* memory, uint64_t size_bytes, const image::ImageFile& image,
                     pmem::Persist persist) {
  MORSEL_TRY(image.Load(memory));
  // ORDER  the morsel's bytes  <  the slot is live
  // WHY    a morsel that has a name was imported whole. Create() fences before the slot.    [S-4]
  // CRASH  before: the bytes belong to nobody. After: the morsel is there, whole.
  // TEST   morsel/carved/carved_pool_import_test: LoadedBytesAreDurableAfterAFence  <- no flush
  persist.Flush(memory, size_bytes);
  return image::CheckNotOverwritten(image);
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

// Loads the image into subtrees that are nobody's yet. It is mapped at any free address: the
// morsel's own range may be in use by the morsel that was exported. `held` is released while bytes
// move.
Result<std::vector<SubtreeIndex>> CarvedPool::Load(const CatalogRecord& record,
                                                   const image::ImageFile& image,
                                                   std::unique_lock<Mutex>& held) {
  const Window window = {superblock().window_begin, superblock().window_end};
  Result<os::AddressRange> range =
      ReserveNew(window, record.id, record.size_bytes, {}, SubjectOf(record.name));
  if (!range) return range.status();
  const alloc::SubtreeRole role = RoleOf(record);
  Result<std::vector<SubtreeIndex>> subtrees = medium_->Grant(role, record.size_bytes, &held);
  if (!subtrees) return subtrees;
  Status loaded = medium_->Place(*range, 0, role, *subtrees, false, "morsel '" + record.name + "'");
  if (loaded.ok()) {
    held.unlock();
    loaded = FillFromImage(range->at(0), record.size_bytes, image, medium_->persist());
    held.lock();
  }
  if (loaded.ok()) return subtrees;
  const KeepLastError keep;
  medium_->Return(role, *subtrees);
  return loaded;
}

Status CarvedPool::Import(const std::string& name, const image::ImageFile& image) {
  MORSEL_TRY(MustBeWritable("made"));
  const Result<CatalogRecord> found = RecordOf(name, image.file(), image.info());
  if (!found) return found.status();
  // The heap in the image knows its capacity, so the capacity is not rounded up to the medium's
  // units.
  CatalogRecord record = Carved(*found);
  record.capacity_bytes = found->capacity_bytes;
  record.codec = image::Codec::kNone;
  record.mode &= kPermissionBits;
  record.user = geteuid();
  record.group = getegid();
  const Window window = {superblock().window_begin, superblock().window_end};
  const uint64_t unit_bytes = alloc::SubtreesOf(RoleOf(record)) * kSubtreeBytes;
  std::unique_lock lock(medium_->mutex);
  MORSEL_TRY(CheckUnclaimed(record));
  const Claim claim(*this, record);
  lock.unlock();
  const Status room = CheckRoomFor(*this, record);
  const Status place = room.ok() ? CheckPlaceFor(*this, window, unit_bytes, record) : room;
  lock.lock();
  MORSEL_TRY(place);
  CarvedMetadata& metadata = medium_->metadata();
  MORSEL_TRY(metadata.catalog().FreeSlot().status());
  const Result<std::vector<SubtreeIndex>> subtrees = Load(record, image, lock);
  if (!subtrees) return subtrees.status();
  // Another may have taken the slot meanwhile.
  const Result<SlotIndex> slot = metadata.catalog().FreeSlot();
  if (!slot) {
    const KeepLastError keep;
    medium_->Return(RoleOf(record), *subtrees);
    return slot.status();
  }
  addresses_.Claim(SpanOf(record));
  metadata.Create(*slot, record, *subtrees);
  NoteName();
  return Code::kOk;
}

}  // namespace morsel
