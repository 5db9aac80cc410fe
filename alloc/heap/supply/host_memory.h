// What a heap tells the host of its memory, and asks of it: how it will be used, which
// part of it is zero because it was never used, and which part nobody needs any more.
//
//   memory         what is known to be zero
//   frames         what the kernel says was never touched, or was given back
//   a medium       what was never used since the morsel was made or grew in this process
#pragma once

#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/supply/heap_frames.h"
#include "base/mutex.h"

namespace morsel::alloc {

/// Threads  the holder of the heap's lock, unless said otherwise.
class HostMemory {
 public:
  /// `frames`: nullptr if the range is on a medium. `lock`: the heap's.
  /// Ownership  all of them outlive this object.
  HostMemory(HeapFrames* frames, UnitMap& units, Mutex& lock)
      : frames_(frames), units_(units), lock_(lock) {}

  /// The segment is about to be handed out, before anybody touches it.
  void Expect(const Segment& segment, HeapFrames::Use use);
  /// Sees to it that somebody looks how large blocks are used.
  /// Threads  any, without the lock.
  void Watch();
  /// Makes [begin, end) zero. The range is an extent that nobody else knows yet.
  /// Threads  any, without the lock: that may take long.
  void Clear(char* begin, char* end);
  /// Gives back to the host what was freed and not used again, if that is much.
  void GiveBackIdle();

 private:
  HeapFrames* const frames_;
  UnitMap& units_;
  Mutex& lock_;
};

}  // namespace morsel::alloc
