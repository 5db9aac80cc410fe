// The metadata of a carved pool: the in-use word, journal, catalog and subtree map behind one
// interface. Every change of a morsel's existence and size is made here, in the order that keeps it
// crash-safe.
//
// It works on any memory that is aligned to a page and has a Persist; it knows nothing of files and
// mappings.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "alloc/subtrees/subtree_map.h"
#include "base/result.h"
#include "morsel/carved/catalog.h"
#include "morsel/pool/pool.h"
#include "morsel/pool/pool_layout.h"
#include "pmem/persist/journal.h"
#include "pmem/persist/persist.h"

namespace morsel {

/// Makes the first plan.metadata_bytes of `medium` a pool without morsels, whatever was there.
/// Durability  on return; after a crash before that, there is the old pool, no pool, or the new
///             one.
void FormatPool(char* medium, const PoolSuperblock& plan, pmem::Persist persist);

/// The kind of subtrees that the morsel has.
constexpr alloc::SubtreeRole RoleOf(const CatalogRecord& record) {
  return record.giant ? alloc::SubtreeRole::kGiant : alloc::SubtreeRole::kHuge;
}

/// Threads  one call at a time.
class CarvedMetadata {
 public:
  enum class Access { kRead, kWrite };

  /// Recovers what a crash left and reads the catalog. The map is read later. With kRead `medium`
  /// is the caller's own copy of it, in which a journal entry that is pending is applied.
  /// Errors  kCorrupt (the journal).
  static Result<std::unique_ptr<CarvedMetadata>> Open(char* medium,
                                                      const PoolSuperblock& superblock,
                                                      pmem::Persist persist, Access access,
                                                      std::string subject);
  CarvedMetadata(const CarvedMetadata&) = delete;
  CarvedMetadata& operator=(const CarvedMetadata&) = delete;

  /// Records that this open for writing ended well. Nothing else may be called after it.
  /// Durability  on return.
  void Close();

  const Catalog& catalog() const { return catalog_; }
  const PoolSuperblock& superblock() const { return superblock_; }
  /// Returns the subtree map, which the first call reads.
  alloc::SubtreeMap& map();

  /// Returns the subtrees of the morsel in `slot`, in the order of its addresses. A giant subtree
  /// is named by the first of its 2 MiB subtrees.
  /// Errors  kCorrupt.
  Result<std::vector<SubtreeIndex>> Subtrees(SlotIndex slot);

  /// Claims subtrees of 2 MiB or 1 GiB each for `size_bytes`. Nothing on the medium changes.
  /// Ownership  the caller ends the claim with Create(), Grow() or Cancel().
  /// Errors     kNoSpace; kCorrupt.
  Result<std::vector<SubtreeIndex>> Reserve(alloc::SubtreeRole role, uint64_t size_bytes);
  void Cancel(alloc::SubtreeRole role, const std::vector<SubtreeIndex>& subtrees);

  /// Publishes the morsel. `slot` comes from catalog().FreeSlot(), `subtrees` from Reserve() for
  /// record.size_bytes; this thread has flushed their content.
  /// Durability  on return; after a crash before that, there is nothing of that name.
  void Create(SlotIndex slot, const CatalogRecord& record,
              const std::vector<SubtreeIndex>& subtrees);

  /// Publishes the morsel as Create() does, in place of the one in `replaced`, whose name it has,
  /// and returns the subtrees that are free now.
  /// Durability  on return; after a crash before that, the name is that of the one or of the other.
  std::vector<SubtreeIndex> Replace(SlotIndex replaced, SlotIndex slot, const CatalogRecord& record,
                                    const std::vector<SubtreeIndex>& subtrees);

  /// Makes the morsel longer by `subtrees`, whose content this thread has flushed.
  /// Durability  on return; a crash before that leaves the old size or the new one.
  void Grow(SlotIndex slot, const std::vector<SubtreeIndex>& subtrees);

  /// Makes the morsel shorter, and returns the subtrees that are free now.
  /// Durability  as Grow().
  std::vector<SubtreeIndex> Shrink(SlotIndex slot, uint64_t size_bytes);

  /// Removes the morsel, and returns the subtrees that are free now.
  /// Durability  the morsel is gone on return.
  std::vector<SubtreeIndex> Remove(SlotIndex slot);

  /// Gives the morsel another name, which no other morsel has.
  /// Durability  on return; a crash before that leaves the old name or the new one.
  void Rename(SlotIndex slot, const std::string& name);

  /// Records a checkpoint of the morsel.
  /// Durability  on return; a crash before that leaves both old values or both new ones.
  void SetCheckpoint(SlotIndex slot, uint64_t live_bytes, uint64_t generation);

  /// Returns one message for each invariant that is broken on the medium: see
  /// carved_pool_validate.cc.
  std::vector<std::string> Validate();

 private:
  CarvedMetadata(char* memory, const PoolSuperblock& superblock, pmem::Persist persist,
                 Access access, std::string subject);
  PoolUse* use() const;

  char* memory_;
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
