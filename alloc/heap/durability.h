// How allocations and frees become durable.
#pragma once

#include <cstdint>

#include "alloc/heap/segments/segment.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/segments/unit_map.h"
#include "alloc/heap/supply/heap_facts.h"
#include "alloc/heap/supply/known_segments.h"
#include "alloc/heap/threads/thread_parts.h"
#include "base/result.h"

namespace morsel::alloc {

class Durability {
 public:
  /// Ownership  all of them outlive this object.
  Durability(const HeapFacts& facts, SegmentTable& table, UnitMap& units, ThreadParts& parts,
             KnownSegments& known)
      : facts_(facts), table_(table), units_(units), parts_(parts), known_(known) {}

  // What the functions of the same names of Heap do, for any thread, without the lock.

  Status Flush(const void* address, uint64_t size_bytes);
  Status Copy(void* to, const void* from, uint64_t size_bytes);
  void Fence();

  /// Makes durable what the calling thread has freed.
  /// Durability  on return.
  /// Threads     any, without the lock.
  void FlushMyFrees();
  /// Does so if that is due, and returns whether the block was freed. `freed`: how it went.
  bool FlushIfDue(ThreadParts::Freed freed) {
    if (freed == ThreadParts::Freed::kFlushIsDue) FlushMyFrees();
    return freed != ThreadParts::Freed::kNo;
  }
  /// As FlushMyFrees(), for who has the lock and the thread's part, which is `mine`.
  void FlushFreesOf(ThreadHeap& mine);

  // Threads  who has stopped the world.

  /// Makes every allocation and free of all threads so far durable.
  /// Durability  on return.
  void FlushFrees();
  /// Makes every byte of all slabs and extents durable, and all that FlushFrees() does.
  /// Durability  on return.
  void PersistAll();
  /// Does what FlushFrees() does, and marks the heap as clean. In a heap that is read-only or under
  /// the snapshot contract, does neither.
  /// Durability  on return.
  /// Errors      kCorrupt, kNoMemory: part of the heap cannot be read; it stays marked as in use.
  Status Close();

 private:
  Status FlushAllocations(const char* begin, const char* end);
  Status FlushAllocationsLocked(ThreadHeap& mine, const char* begin, const char* end);
  void FlushSegment(Segment& segment, const char* begin, const char* end, ThreadHeap& mine);
  void FlushLater(PendingLines& pending, LineCounter& counter, const void* line);
  Status FlushRecovered();
  void FlushAllFrees();

  const HeapFacts& facts_;
  SegmentTable& table_;
  UnitMap& units_;
  ThreadParts& parts_;
  KnownSegments& known_;
};

}  // namespace morsel::alloc
