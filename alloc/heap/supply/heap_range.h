// A heap's range: how large it is, and how it becomes larger when it is full.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "alloc/heap/layout/heap_layout.h"
#include "alloc/heap/segments/unit_map.h"
#include "base/result.h"

namespace morsel::alloc {

/// Threads  the holder of the heap's lock, unless said otherwise.
class HeapRange {
 public:
  /// Enlarges the range to at least size_bytes, durably, and returns its new size. It is called
  /// with the heap's lock held and must not call the heap.
  using Enlarge = std::function<Result<uint64_t>(uint64_t size_bytes)>;

  /// Ownership  both outlive this object.
  HeapRange(const HeapHeader& header, UnitMap& units) : header_(header), units_(units) {}

  /// nullptr: the range cannot grow, as it is at first.
  /// Threads  no other thread is in the heap.
  void set_enlarge(Enlarge enlarge) { enlarge_ = std::move(enlarge); }

  /// The size of the range at present.
  /// Threads  any; waits for nobody.
  uint64_t size_bytes() const { return units_.unit_count() * kUnitBytes; }
  /// Takes in the new end of a range that has grown to size_bytes, durably.
  void Grow(uint64_t size_bytes) { units_.Grow(size_bytes); }

  /// Begins a search for room: NoRoomFor() tells of attempts to grow since.
  void BeginSearch() { failure_code_ = Code::kOk; }

  /// Asks for a range with room for `count` aligned units behind the last used one. `asks_more`:
  /// asks for at least a 64th of the range more, so that growing is rare. Returns whether the range
  /// has grown.
  /// Units  alignment: units, a power of two.
  bool GrowFor(UnitCount count, uint64_t alignment, bool asks_more);

  /// Says what is full: the address range, the morsel, or what it would have grown into. Or that no
  /// multiple of the alignment lies where the units would have room.
  /// Units  alignment: units, a power of two.
  Status NoRoomFor(UnitCount units, uint64_t alignment) const;

 private:
  const HeapHeader& header_;
  UnitMap& units_;
  Enlarge enlarge_;
  std::string failure_;  ///< why the last attempt to grow failed, if it did
  Code failure_code_ = Code::kOk;
};

}  // namespace morsel::alloc
