// What a heap may ask of memory that is no medium, as a snapshot morsel's frames are.
#pragma once

#include <cstdint>

namespace morsel::alloc {

/// Addresses are in the heap's range.
///
/// Threads  one call at a time: the heap's lock is held.
class HeapFrames {
 public:
  HeapFrames() = default;
  virtual ~HeapFrames() = default;
  HeapFrames(const HeapFrames&) = delete;
  HeapFrames& operator=(const HeapFrames&) = delete;

  struct Range {
    char* begin;
    char* end;
  };
  /// The first range of [begin, end) that was ever touched; an empty one at `end` if there is none.
  /// All before it is zero. It may have untouched memory in it.
  virtual Range FirstTouched(char* begin, char* end) = 0;

  /// Gives the host back what it can of [begin, end), of which nobody needs the contents any more.
  /// They are what they were, or zero.
  virtual void GiveBack(char* begin, char* end) = 0;
};

}  // namespace morsel::alloc
