// The catalog of a carved pool: one slot for each morsel.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "alloc/subtrees/subtree_map.h"
#include "base/number_set.h"
#include "base/result.h"
#include "base/units.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/pool.h"
#include "morsel/pool/pool_layout.h"
#include "pmem/persist/journal.h"
#include "pmem/persist/persist.h"

namespace morsel {

using SlotIndex = Number<struct SlotIndexTag>;

/// It works on any memory that is aligned to a line, and knows nothing of files. Load() checks
/// every slot. A slot that breaks an invariant is damaged: it is not found, not listed and not used
/// again.
/// Threads  one call at a time.
class Catalog {
 public:
  /// `journal` covers the slots and must outlive the catalog.
  Catalog(CatalogSlot* slots, uint64_t slot_count, Window window, pmem::Journal* journal,
          pmem::Persist persist, std::string subject)
      : slots_(slots),
        slot_count_(slot_count),
        window_(window),
        journal_(journal),
        persist_(persist),
        subject_(std::move(subject)),
        free_(slot_count) {}

  /// Writes a catalog without morsels.
  /// Durability  flushed; the caller fences.
  void Format();

  /// Reads every slot. Damage is not an error here: findings() has a message for each damaged slot.
  void Load();
  const std::vector<std::string>& findings() const { return findings_; }

  /// Returns the slot of the morsel `name`.
  /// Errors  kNotFound; the message has the name.
  Result<SlotIndex> Find(const std::string& name) const;
  /// Returns what a live slot says.
  CatalogRecord record(SlotIndex slot) const;
  /// Returns the live slots, sorted by the names of their morsels.
  std::vector<SlotIndex> List() const;
  /// Returns the state of every slot, for SubtreeMap::Load(): element i is slot i.
  std::vector<alloc::OwnerState> Owners() const;
  /// Returns the address ranges of all live morsels, which the first call collects. The reference
  /// is good until the next change of the catalog.
  const TakenRanges& Ranges() const;
  /// Returns the sum of the sizes of all live morsels.
  uint64_t size_bytes() const;

  /// Returns the first slot that Insert() may use. Nothing on the medium changes.
  /// Errors  kNoSpace: all slots are in use.
  Result<SlotIndex> FreeSlot() const;
  /// How many words FreeSlot() has read in all. Tests compare this with a bound.
  uint64_t looked_at() const { return free_.looked_at(); }

  /// Publishes the morsel in a free slot. The words of its subtrees and its first bytes are durable
  /// before that.
  /// Durability  on return; after a crash before that, there is nothing of that name.
  void Insert(SlotIndex slot, const CatalogRecord& record);

  /// Publishes the morsel as Insert() does, and removes the one in `replaced`, whose name it has,
  /// as Remove() does.
  /// Durability  on return; after a crash before that, the name is that of the one or of the other.
  void Replace(SlotIndex replaced, SlotIndex slot, const CatalogRecord& record);

  /// Change words of a live slot.
  /// Durability  on return; a crash before that leaves all the old words or all the new ones.
  void SetSize(SlotIndex slot, uint64_t size_bytes);
  void SetCheckpoint(SlotIndex slot, uint64_t live_bytes, uint64_t generation);

  /// Gives the morsel in a live slot another name, which no other slot has.
  /// Durability  on return; a crash before that leaves the old name or the new one.
  void Rename(SlotIndex slot, const std::string& name);

  /// Removes the morsel. The slot cannot be used again before Free().
  /// Durability  the morsel is gone on return.
  void Remove(SlotIndex slot);
  /// Lets the slot be used again. The words of its subtrees have been cleaned before.
  void Free(SlotIndex slot);

  uint64_t slot_count() const { return slot_count_; }

 private:
  std::optional<std::string> FaultOf(const CatalogSlot& slot) const;
  void WriteIdentity(SlotIndex slot, const CatalogRecord& record);
  void CommitStatus(SlotIndex slot, SlotStatus status);
  SlotStatus StatusOf(SlotIndex slot) const;

  CatalogSlot* slots_;
  uint64_t slot_count_;
  Window window_;
  pmem::Journal* journal_;
  pmem::Persist persist_;
  std::string subject_;
  std::vector<std::string> findings_;
  std::vector<bool> damaged_;
  NumberSet free_;  ///< slots that Insert() may use; a removed slot joins it with Free()
  std::unordered_map<std::string, SlotIndex> by_name_;
  mutable std::optional<TakenRanges> ranges_;
};

}  // namespace morsel
