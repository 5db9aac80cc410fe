// How an image becomes a morsel of a carved pool.
#include <unistd.h>

#include <cinttypes>

#include "base/bits.h"
#include "base/error.h"
#include "morsel/address_window.h"
#include "morsel/carved_pool.h"
#include "morsel/image_record.h"
#include "pmem/image/image_copy.h"

namespace morsel {

// The catalog has no place for what it would not believe afterwards.                    [POOL-5]
Status CarvedPool::ExpectPlaceFor(const Record& record) const {
  const uint64_t unit_bytes = alloc::SubtreesOf(RoleOf(record)) * kSubtreeBytes;
  if (!IsAligned(record.base, unit_bytes) || !IsAligned(record.capacity_bytes, unit_bytes) ||
      !IsAligned(record.size_bytes, unit_bytes) || record.size_bytes > record.capacity_bytes) {
    return Fail(Code::kUnsupported,
                "morsel '%s' has base 0x%" PRIx64 ", capacity %" PRIu64 " and size %" PRIu64
                "; in pool '%s' each would have to be a multiple of %" PRIu64
                ": choose another pool",
                record.name.c_str(), record.base, record.capacity_bytes, record.size_bytes,
                path_.c_str(), unit_bytes);
  }
  const Superblock& pool = superblock();
  if (record.base >= pool.window_begin &&
      Within(record.base, RangeBytes(record.capacity_bytes), pool.window_end)) {
    return Code::kOk;
  }
  return Fail(Code::kUnsupported,
              "morsel '%s' has the address range 0x%" PRIx64 "-0x%" PRIx64
              ", outside of the window 0x%" PRIx64 "-0x%" PRIx64
              " of pool '%s'; choose a pool with that window (MORSEL_WINDOW where it is made)",
              record.name.c_str(), record.base, record.base + RangeBytes(record.capacity_bytes),
              pool.window_begin, pool.window_end, path_.c_str());
}

// Somewhere: the morsel's own range may be in use, by what was exported.
Status CarvedPool::Load(const Record& record, const pmem::image::ImageFile& image,
                        const std::vector<SubtreeIndex>& subtrees) {
  const Window window = {superblock().window_begin, superblock().window_end};
  Result<pmem::AddressRange> range =
      ReserveNew(window, record.id, record.size_bytes, {}, SubjectOf(record.name));
  if (!range) return range.status();
  MORSEL_TRY(medium_->Place(*range, 0, RoleOf(record), subtrees, false,
                             "morsel '" + record.name + "'"));
  MORSEL_TRY(image.Load(range->at(0)));
  // ORDER  the morsel's bytes  <  the slot is live
  // WHY    what has a name has been imported whole. Create() fences before the slot.        [S-4]
  // CRASH  before: nobody's bytes. After: the morsel, whole.
  // TEST   morsel/carved_pool_sim_test: ImportedMorsels  <- fails without the flush
  medium_->persist().Flush(range->at(0), record.size_bytes);
  return pmem::image::ExpectKept(image);
}

Status CarvedPool::Import(const std::string& name, const pmem::image::ImageFile& image) {
  MORSEL_TRY(MustBeWritable("made"));
  const Result<Record> found = RecordOf(name, image.file(), image.info());
  if (!found) return found.status();
  // The heap knows its capacity: what the medium's units would make of it is another one.
  Record record = Carved(*found);
  record.capacity_bytes = found->capacity_bytes;
  record.codec = pmem::image::Codec::kNone;
  record.mode &= kPermissionBits;
  record.user = geteuid();
  record.group = getegid();
  MORSEL_TRY(ExpectRoomFor(*this, record));
  MORSEL_TRY(ExpectPlaceFor(record));
  if (record.size_bytes == 0) {
    return Fail(Code::kCorrupt,
                "image '%s' is of a morsel without any memory; restore it from a copy",
                image.file().path().c_str());
  }
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
