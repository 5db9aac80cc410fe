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
  // TEST   morsel/open/carved_pool_sim_test: ImportedMorsels  <- fails without the flush
  persist.Flush(memory, size_bytes);
  return image::CheckNotOverwritten(image);
}

// Loads the image at any free address: the morsel's own range may be in use by the morsel that was
// exported.
Status CarvedPool::Load(const CatalogRecord& record, const image::ImageFile& image,
                        const std::vector<SubtreeIndex>& subtrees) {
  const Window window = {superblock().window_begin, superblock().window_end};
  Result<os::AddressRange> range =
      ReserveNew(window, record.id, record.size_bytes, {}, SubjectOf(record.name));
  if (!range) return range.status();
  MORSEL_TRY(
      medium_->Place(*range, 0, RoleOf(record), subtrees, false, "morsel '" + record.name + "'"));
  return FillFromImage(range->at(0), record.size_bytes, image, medium_->persist());
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
  MORSEL_TRY(CheckRoomFor(*this, record));
  const Window window = {superblock().window_begin, superblock().window_end};
  MORSEL_TRY(
      CheckPlaceFor(*this, window, alloc::SubtreesOf(RoleOf(record)) * kSubtreeBytes, record));
  const std::lock_guard lock(medium_->mutex);
  CarvedMetadata& metadata = medium_->metadata();
  const Result<SlotIndex> slot = metadata.catalog().FreeSlot();
  if (!slot) return slot.status();
  const alloc::SubtreeRole role = RoleOf(record);
  const Result<std::vector<SubtreeIndex>> subtrees = medium_->Grant(role, record.size_bytes);
  if (!subtrees) return subtrees.status();
  if (const Status loaded = Load(record, image, *subtrees); !loaded.ok()) {
    const KeepLastError keep;
    medium_->Return(role, *subtrees);
    return loaded;
  }
  metadata.Create(*slot, record, *subtrees);
  return Code::kOk;
}

}  // namespace morsel
