// From an address, or from a head, to what the process remembers of its segment. What an
// earlier process left is adopted when it is first asked for.
#pragma once

#include <array>
#include <cstdint>

#include "alloc/heap/segments/central_slabs.h"
#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/supply/heap_facts.h"
#include "base/result.h"

namespace morsel::alloc {

/// Threads  the holder of the heap's lock.
class KnownSegments {
 public:
  static constexpr uint64_t kAllHeads = ~uint64_t{0};  ///< in place of a limit

  /// `unclean`: something that an earlier process left may be visible and not durable.
  /// Ownership  all of them outlive this object.
  KnownSegments(const HeapFacts& facts, UnitMap& units, SegmentTable& table, CentralSlabs& central,
                bool unclean)
      : facts_(facts), units_(units), table_(table), central_(central), unclean_(unclean) {}

  /// The segment that covers the address.
  /// Errors  kNotFound (without a message): none does; kCorrupt, kNoMemory.
  Result<Segment*> Of(const void* address);
  /// The segment of which a live block begins at `block`. Ends the process if none does; `call` is
  /// what the message says was tried.
  Segment& OfLive(const void* block, const char* call);
  /// The segment that begins at `head`.
  /// Errors  kCorrupt, kNoMemory.
  Result<Segment*> At(UnitIndex head);
  /// As At(), for a segment that is about to be made.
  /// Errors  kNoMemory.
  Result<Segment*> Make(UnitIndex head);

  /// Takes a slab of the class with room and without an owner from its list. If the list is empty,
  /// adopts slabs that an earlier process left, a few of them. Returns nullptr if there are none
  /// among so many heads as an allocation may look at.
  Result<Segment*> NextOfClass(unsigned size_class);
  /// Adopts what an earlier process left, at most `heads_max` more heads.
  Status AdoptMore(uint64_t heads_max);
  /// Whether all that it left is adopted.
  bool AllAreAdopted() const { return all_adopted_; }
  /// Whether something that it left may be visible and not durable.
  bool IsUnclean() const { return unclean_; }
  /// All that it left is durable.
  void RecoveredIsDurable() { unclean_ = false; }
  /// The unit map has lost units at its end.
  void Shrunk();

  /// How many heads of an earlier process were looked at for NextOfClass().
  uint64_t heads_read() const { return heads_read_; }

 private:
  const HeapFacts& facts_;
  UnitMap& units_;
  SegmentTable& table_;
  CentralSlabs& central_;
  bool unclean_;
  bool all_adopted_ = false;
  /// What an earlier process left before this unit is adopted.
  UnitIndex adopted_{};
  /// By class: its slabs before this unit are adopted.
  std::array<UnitIndex, kClassCount> cursors_{};
  uint64_t heads_read_ = 0;
};

}  // namespace morsel::alloc
