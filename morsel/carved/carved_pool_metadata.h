// What a carved pool keeps beside its morsels, as one: use, journal, catalog,
// subtree map. Every change of a morsel's existence and size is here, in order.
//
// Over any memory that is aligned to a page and has a Persist; knows nothing of
// files and mappings.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "alloc/subtrees/subtree_map.h"
#include "base/result.h"
#include "morsel/carved/catalog.h"
#include "morsel/carved/pool_layout.h"
#include "morsel/pool/pool.h"
#include "pmem/persist/journal.h"
#include "pmem/persist/persist.h"

namespace morsel {

/// Makes the first plan.metadata_bytes of `medium` a pool without morsels, whatever was there.
/// Durability  on return; after a crash before, there is no pool, or this one.
void FormatPool(char* medium, const PoolSuperblock& plan, pmem::Persist persist);

constexpr alloc::SubtreeRole RoleOf(const CatalogRecord& record) {
  return record.giant ? alloc::SubtreeRole::kGiant : alloc::SubtreeRole::kHuge;
}

/// Threads  one at a time.
class CarvedMetadata {
 public:
  enum class Access { kRead, kWrite };

  /// Recovers what a crash left and reads the catalog, not the map. To read, nothing on the medium
  /// changes: a record of the journal that is pending is applied to a private copy.
  /// Errors  kCorrupt (the journal); kNoMemory.
  static Result<std::unique_ptr<CarvedMetadata>> Open(char* medium,
                                                      const PoolSuperblock& superblock,
                                                      pmem::Persist persist, Access access,
                                                      std::string subject);
  ~CarvedMetadata();
  CarvedMetadata(const CarvedMetadata&) = delete;
  CarvedMetadata& operator=(const CarvedMetadata&) = delete;

  /// Says that this open for writing ended well. Nothing else is called afterwards.
  /// Durability  on return.
  void Close();

  const Catalog& catalog() const { return catalog_; }
  const PoolSuperblock& superblock() const { return superblock_; }
  /// The map is read when it is first asked for.
  alloc::SubtreeMap& map();

  /// The first subtrees of the morsel in `slot`, by position.
  /// Errors  kCorrupt.
  Result<std::vector<SubtreeIndex>> Subtrees(SlotIndex slot);

  /// Claims subtrees of 2 MiB each or of 1 GiB each for `size_bytes`. Ended by Create(), Grow() or
  /// Cancel(). Nothing on the medium changes.
  /// Errors  kNoSpace; kCorrupt.
  Result<std::vector<SubtreeIndex>> Reserve(alloc::SubtreeRole role, uint64_t size_bytes);
  void Cancel(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees);

  /// Makes the morsel true. `slot` is from catalog().FreeSlot(); `subtrees` from Reserve() for
  /// record.size_bytes, their content flushed by this thread.
  /// Durability  on return; after a crash before, there is nothing of that name.
  void Create(SlotIndex slot, const CatalogRecord& record,
              const std::vector<SubtreeIndex>& subtrees);

  /// Makes the morsel longer by `subtrees`, whose content is flushed by this thread.
  /// Durability  on return; a crash leaves the old size or the new one.
  void Grow(SlotIndex slot, const std::vector<SubtreeIndex>& subtrees);

  /// Makes the morsel shorter.
  /// Durability  as Grow().
  /// Returns     the subtrees that are free now.
  std::vector<SubtreeIndex> Shrink(SlotIndex slot, uint64_t size_bytes);

  /// Durability  gone on return.
  /// Returns     the subtrees that are free now.
  std::vector<SubtreeIndex> Remove(SlotIndex slot);

  void SetCheckpoint(SlotIndex slot, uint64_t live_bytes, uint64_t generation);

  /// One sentence for everything that is wrong: see carved_pool_validate.cc.
  std::vector<std::string> Validate();

 private:
  CarvedMetadata(char* memory, const PoolSuperblock& superblock, pmem::Persist persist,
                 Access access, std::string subject);
  PoolUse* use() const;

  char* memory_;
  void* copy_ = nullptr;  ///< memory_, where that is private
  PoolSuperblock superblock_;
  pmem::Persist persist_;
  Access access_;
  bool was_unclean_ = false;
  std::string subject_;
  pmem::Journal journal_;
  Catalog catalog_;
  alloc::SubtreeMap map_;
};

}  // namespace morsel
