#include "morsel/carved/carved_pool_metadata.h"

#include <cinttypes>
#include <cstring>

#include "base/bits.h"
#include "base/check.h"
#include "base/error.h"
#include "morsel/carved/carved_pool_superblock.h"

namespace morsel {
namespace {

pmem::Journal JournalOf(char* memory, const PoolSuperblock& s, pmem::Persist persist,
                        const std::string& subject) {
  return pmem::Journal(reinterpret_cast<pmem::JournalHead*>(memory + s.journal_offset),
                       s.journal_bytes,
                       {.medium = memory,
                        .begin = s.catalog_offset,
                        .end = s.map_offset + s.subtree_count * sizeof(uint64_t),
                        .subject = subject},
                       persist);
}

Catalog CatalogOf(char* memory, const PoolSuperblock& s, pmem::Journal* journal,
                  pmem::Persist persist, const std::string& subject) {
  return Catalog(reinterpret_cast<CatalogSlot*>(memory + s.catalog_offset), s.slot_count,
                 {s.window_begin, s.window_end}, journal, persist, subject);
}

alloc::SubtreeMap MapOf(char* memory, const PoolSuperblock& s, pmem::Persist persist,
                        const std::string& subject) {
  const uint64_t to_giant = AlignUp(s.data_offset, kGiantBytes) - s.data_offset;
  return alloc::SubtreeMap(reinterpret_cast<uint64_t*>(memory + s.map_offset), s.subtree_count,
                           to_giant / kSubtreeBytes, persist, subject);
}

}  // namespace

void FormatPool(char* medium, const PoolSuperblock& plan, pmem::Persist persist) {
  // ORDER  the old magics are gone  <  anything new
  // WHY    half of a new pool must not be taken for the old one.                       [POOL-1]
  // CRASH  before: the old pool is there, whole. After: no pool is.
  // TEST   morsel/carved/carved_pool_metadata_test: FormattingIsAllOrNothing  <- fails without it
  EraseSuperblocks(medium, persist);
  auto* const use = reinterpret_cast<uint64_t*>(medium + plan.use_offset);
  for (size_t i = 0; i < sizeof(PoolUse) / sizeof(uint64_t); ++i) pmem::Store(use + i, 0);
  persist.Flush(use, sizeof(PoolUse));
  pmem::Journal journal = JournalOf(medium, plan, persist, "");
  journal.Format();
  CatalogOf(medium, plan, &journal, persist, "").Format();
  MapOf(medium, plan, persist, "").Format();
  WriteSuperblocks(medium, plan, persist);
}

CarvedMetadata::CarvedMetadata(char* memory, const PoolSuperblock& superblock,
                               pmem::Persist persist, Access access, std::string subject)
    : memory_(memory),
      superblock_(superblock),
      persist_(persist),
      access_(access),
      subject_(std::move(subject)),
      journal_(JournalOf(memory, superblock, persist, subject_)),
      catalog_(CatalogOf(memory, superblock, &journal_, persist, subject_)),
      map_(MapOf(memory, superblock, persist, subject_)) {}

PoolUse* CarvedMetadata::use() const {
  return reinterpret_cast<PoolUse*>(memory_ + superblock_.use_offset);
}

Result<std::unique_ptr<CarvedMetadata>> CarvedMetadata::Open(char* medium,
                                                             const PoolSuperblock& superblock,
                                                             pmem::Persist persist, Access access,
                                                             std::string subject) {
  MORSEL_TRY(JournalOf(medium, superblock, persist, subject).Recover());
  std::unique_ptr<CarvedMetadata> metadata(
      new CarvedMetadata(medium, superblock, persist, access, std::move(subject)));
  if (access == Access::kWrite) {
    uint64_t* const in_use = &metadata->use()->in_use;
    metadata->was_unclean_ = pmem::Load(in_use) != 0;
    // ORDER  the magic that formatting publishes first  <  every change of this open
    // WHY    formatting may have been killed when the magic was visible but not durable. Without it
    //        the pool and all that is stored in it from here on would be gone.          [POOL-1]
    // CRASH  before: there is no pool, or this one, without morsels. After: this one.
    // TEST   morsel/carved/carved_pool_metadata_test: APoolOpenedAfterAKilledFormatStays
    persist.Flush(medium, sizeof(uint64_t));
    // ORDER  in_use = 1  <  every change of this open
    // WHY    an open after a crash must know that words it sees may not be durable.     [POOL-3]
    // CRASH  before: all that is visible is durable. After: the next open flushes what it sees.
    // TEST   morsel/carved/carved_pool_metadata_test: AKillIsRemembered  <- fails without the line
    persist.Publish(in_use, 1);
  }
  metadata->catalog_.Load();
  return metadata;
}

void CarvedMetadata::Close() {
  if (access_ != Access::kWrite) return;
  // If the last process ended uncleanly, reading the map makes durable what it left there. If the
  // map was not read, the next open still has to do that.
  if (was_unclean_ && !map_.is_loaded()) return;
  persist_.Publish(&use()->in_use, 0);
}

alloc::SubtreeMap& CarvedMetadata::map() {
  if (!map_.is_loaded()) {
    using MapAccess = alloc::SubtreeMap::Access;
    map_.Load(catalog_.Owners(), access_ != Access::kWrite ? MapAccess::kRead
                                 : was_unclean_            ? MapAccess::kWriteAfterUnclean
                                                           : MapAccess::kWrite);
  }
  return map_;
}

Result<std::vector<SubtreeIndex>> CarvedMetadata::Subtrees(SlotIndex slot) {
  return map().Subtrees(slot.value() + 1);
}

Result<std::vector<SubtreeIndex>> CarvedMetadata::Reserve(alloc::SubtreeRole role,
                                                          uint64_t size_bytes) {
  return map().Reserve(role, size_bytes / kSubtreeBytes);
}

void CarvedMetadata::Cancel(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees) {
  map().Cancel(role, subtrees);
}

void CarvedMetadata::Create(SlotIndex slot, const CatalogRecord& record,
                            const std::vector<SubtreeIndex>& subtrees) {
  MORSEL_CHECK(access_ == Access::kWrite);
  // ORDER  the morsel's first bytes and the subtrees' words  <  the slot is live
  // WHY    a live slot has all of its subtrees, and a heap in them.                       [S-4]
  // CRASH  before: the words are stale, and the name is free. After: the morsel is there.
  // TEST   morsel/carved/carved_pool_metadata_test: CreationIsAllOrNothing  <- fails when swapped
  map().Record(slot.value() + 1, RoleOf(record), subtrees);
  catalog_.Insert(slot, record);
}

std::vector<SubtreeIndex> CarvedMetadata::Replace(SlotIndex replaced, SlotIndex slot,
                                                  const CatalogRecord& record,
                                                  const std::vector<SubtreeIndex>& subtrees) {
  MORSEL_CHECK(access_ == Access::kWrite);
  const alloc::SubtreeRole role = RoleOf(catalog_.record(replaced));
  // ORDER  the new morsel's bytes and words  <  its slot is live and the old one's is free
  //        <  the old one's words of 0
  // WHY    a live slot has all of its subtrees, and a name is always that of a whole morsel. [S-4]
  // CRASH  before the slots, which change as one record: the old one. After: the new one, and
  //        Load() cleans stale words.
  // TEST   morsel/carved/carved_pool_metadata_test: ReplacingIsAllOrNothing  <- fails when swapped
  map().Record(slot.value() + 1, RoleOf(record), subtrees);
  catalog_.Replace(replaced, slot, record);
  std::vector<SubtreeIndex> freed = map().Truncate(replaced.value() + 1, role, 0);
  catalog_.Free(replaced);
  return freed;
}

void CarvedMetadata::Grow(SlotIndex slot, const std::vector<SubtreeIndex>& subtrees) {
  MORSEL_CHECK(access_ == Access::kWrite);
  const CatalogRecord record = catalog_.record(slot);
  const alloc::SubtreeRole role = RoleOf(record);
  // ORDER  the new subtrees' words  <  the size
  // WHY    the map has every position below the size.                                     [S-4]
  // CRASH  before: the words are stale, and the size is the old one. After: it is the new one.
  // TEST   morsel/carved/carved_pool_metadata_test: GrowingIsAllOrNothing  <- fails when swapped
  map().Record(slot.value() + 1, role, subtrees);
  catalog_.SetSize(slot,
                   record.size_bytes + subtrees.size() * alloc::SubtreesOf(role) * kSubtreeBytes);
}

std::vector<SubtreeIndex> CarvedMetadata::Shrink(SlotIndex slot, uint64_t size_bytes) {
  MORSEL_CHECK(access_ == Access::kWrite);
  const alloc::SubtreeRole role = RoleOf(catalog_.record(slot));
  alloc::SubtreeMap& map = this->map();  // read while the subtrees to be cut off are still live
  // ORDER  the size  <  the words of 0
  // WHY    the map has every position below the size.                                     [S-4]
  // CRASH  before: the size is the old one. After: the new one, and Load() cleans stale words.
  // TEST   morsel/carved/carved_pool_metadata_test: ShrinkingIsAllOrNothing  <- fails when swapped
  catalog_.SetSize(slot, size_bytes);
  return map.Truncate(slot.value() + 1, role, size_bytes / kSubtreeBytes);
}

std::vector<SubtreeIndex> CarvedMetadata::Remove(SlotIndex slot) {
  MORSEL_CHECK(access_ == Access::kWrite);
  const alloc::SubtreeRole role = RoleOf(catalog_.record(slot));
  alloc::SubtreeMap& map = this->map();  // read while the morsel is still live
  // ORDER  the slot is free  <  the words of 0  <  the slot may be used again
  // WHY    a live slot has all of its subtrees, and a stale word would come to life under the next
  //        owner of the slot.                                                       [S-4] [S-5]
  // CRASH  before: the morsel is there. After: it is gone, and Load() cleans stale words.
  // TEST   morsel/carved/carved_pool_metadata_test: RemovalIsAllOrNothing  <- fails when swapped
  catalog_.Remove(slot);
  std::vector<SubtreeIndex> freed = map.Truncate(slot.value() + 1, role, 0);
  catalog_.Free(slot);
  return freed;
}

void CarvedMetadata::Rename(SlotIndex slot, const std::string& name) {
  MORSEL_CHECK(access_ == Access::kWrite);
  catalog_.Rename(slot, name);
}

void CarvedMetadata::SetCheckpoint(SlotIndex slot, uint64_t live_bytes, uint64_t generation) {
  MORSEL_CHECK(access_ == Access::kWrite);
  catalog_.SetCheckpoint(slot, live_bytes, generation);
}

}  // namespace morsel
