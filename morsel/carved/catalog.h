// The catalog of a carved pool: one slot for each morsel, and what is found in it.
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
#include "morsel/carved/pool_layout.h"
#include "morsel/pool/address_window.h"
#include "morsel/pool/pool.h"
#include "pmem/persist/journal.h"
#include "pmem/persist/persist.h"

namespace morsel {

using SlotIndex = Number<struct SlotIndexTag>;

/// Over any memory that is aligned to a line; knows nothing of files. What it says is checked when
/// loaded; a slot that cannot be is damaged: it is not found, not listed and not used again.
/// Threads  one at a time.
class Catalog {
 public:
  /// `journal` covers the slots, and outlives the catalog.
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

  /// Reads every slot. What is wrong is kept for findings() and does not fail here.
  void Load();
  const std::vector<std::string>& findings() const { return findings_; }

  /// Errors  kNotFound, naming `name`.
  Result<SlotIndex> Find(const std::string& name) const;
  /// The slot is live.
  CatalogRecord record(SlotIndex slot) const;
  /// By name.
  std::vector<SlotIndex> List() const;
  /// For SubtreeMap::Load(): element i is slot i.
  std::vector<alloc::OwnerState> Owners() const;
  /// Of all live morsels. Good until the next change; made when first asked for.
  const TakenRanges& Ranges() const;
  /// Of all live morsels together.
  uint64_t size_bytes() const;

  /// The first slot that Insert() may use. Nothing on the medium changes.
  /// Errors  kNoSpace: all are in use.
  Result<SlotIndex> FreeSlot() const;
  /// How many words FreeSlot() has read in all: tests hold what it costs against a bound.
  uint64_t looked_at() const { return free_.looked_at(); }

  /// Makes the morsel true, in a slot that is free. Its subtrees' words and its first bytes are
  /// durable before.
  /// Durability  on return; after a crash before, there is nothing of that name.
  void Insert(SlotIndex slot, const CatalogRecord& record);

  /// Durability  on return; a crash leaves the old words or the new ones, all of them.
  void SetSize(SlotIndex slot, uint64_t size_bytes);
  void SetCheckpoint(SlotIndex slot, uint64_t live_bytes, uint64_t generation);

  /// Durability  gone on return. The slot is free once its subtrees' words are cleaned: Free().
  void Remove(SlotIndex slot);
  /// The slot may be used again.
  void Free(SlotIndex slot);

  uint64_t slot_count() const { return slot_count_; }

 private:
  std::optional<std::string> FaultOf(const CatalogSlot& slot) const;
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
  NumberSet free_;  ///< neither live nor damaged, nor removed and not yet freed
  std::unordered_map<std::string, SlotIndex> by_name_;
  mutable std::optional<TakenRanges> ranges_;
};

}  // namespace morsel
