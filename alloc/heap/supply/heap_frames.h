// What a heap may ask of memory that is no medium, as a snapshot morsel's frames are.
#pragma once

#include <cstdint>

namespace morsel::alloc {

/// Addresses are in the heap's range.
///
/// Threads  one call at a time: the heap's lock is held, unless said otherwise.
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

  /// How the program will use memory.
  enum class Use {
    kDense,  ///< all over, as small blocks are
    kAny,    ///< nobody knows: a large block may be hardly used at all
  };
  /// [begin, end) is about to be handed out, before anybody touches it.
  virtual void Expect(const char* begin, const char* end, Use use) = 0;
  /// Sees to it that somebody looks how it is used, if it is worth that.
  /// Threads  any that holds no mutex: a thread may begin, and the system calls the program's
  ///          malloc() for that.
  virtual void Watch() = 0;
};

}  // namespace morsel::alloc
