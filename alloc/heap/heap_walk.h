// Walks over what the medium says of a heap. Nothing is adopted: a walk leaves nothing of
// the heap in memory.
#pragma once

#include <cstdint>
#include <functional>

#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/unit_map.h"
#include "base/result.h"

namespace morsel::alloc {

/// Threads  who has stopped the world.
class HeapWalk {
 public:
  /// Ownership  the unit map outlives this object.
  explicit HeapWalk(UnitMap& units) : units_(units) {}

  /// Calls `visit` for each slab and each extent that has the unit `from` or a later one, until it
  /// returns false.
  /// Errors  kCorrupt, kNoMemory.
  using VisitSegment = std::function<bool(Segment& segment)>;
  Status ForEachSegment(UnitIndex from, const VisitSegment& visit);
  /// Calls `visit` for each block whose bit is set, and that ends behind the first `offset` bytes
  /// of the heap, in the order of addresses, until it returns false.
  /// Errors  as ForEachSegment().
  using VisitBlock = std::function<bool(char* block, uint64_t bytes)>;
  Status ForEachBlockBehind(uint64_t offset, const VisitBlock& visit);
  /// How many bytes such a block has from `address` on; 0 if that lies in none.
  /// Errors  as ForEachSegment().
  Result<uint64_t> BytesFrom(const void* address);

 private:
  void Read(UnitIndex head, Segment& segment);

  UnitMap& units_;
};

}  // namespace morsel::alloc
