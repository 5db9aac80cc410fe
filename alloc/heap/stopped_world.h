// A heap of which one thread has everything to itself.
#pragma once

#include <cstdint>
#include <mutex>

#include "alloc/heap/durability.h"
#include "alloc/heap/guard/guard.h"
#include "alloc/heap/heap_walk.h"
#include "alloc/heap/live_bytes.h"
#include "alloc/heap/supply/slab_recall.h"
#include "alloc/heap/threads/thread_parts.h"
#include "base/mutex.h"
#include "base/result.h"

namespace morsel::alloc {

/// What of a heap's parts can be used while the world is stopped.
/// Ownership  all of them outlive whoever has stopped it.
struct StoppedParts {
  Mutex& lock;  ///< the heap's
  const HeapFacts& facts;
  UnitMap& units;
  ThreadParts& threads;
  KnownSegments& known;
  SlabRecall& recall;
  Durability& durability;
  HeapWalk& walk;
  LiveBytes& live;
};

/// Holds the heap's lock and keeps the gate closed while it lives, so that no other thread is in
/// the heap. The thread that has it calls of the heap only what Heap::Lock() allows, too.
class StoppedWorld {
 public:
  /// `guard`: the heap's, or nullptr.
  StoppedWorld(const StoppedParts& parts, Guard* guard);

  /// Makes every allocation and free of all threads so far durable.
  /// Durability  on return.
  void FlushFrees() const { parts_.durability.FlushFrees(); }
  /// Makes every byte of all slabs and extents durable, and all that FlushFrees() does.
  /// Durability  on return.
  void PersistAll() const { parts_.durability.PersistAll(); }

  /// How many bytes all live blocks have together.
  /// Errors  kCorrupt, kNoMemory.
  /// Cost    by the number of threads. The first call reads every slab's bits, unless
  ///         HeapPlace::live_bytes said how many they were.
  Result<uint64_t> LiveBytes() const { return parts_.live.Sum(); }
  /// What Heap::IsLive(address) says. Nothing is adopted.
  Result<bool> IsLive(const void* address) const {
    const Result<uint64_t> bytes = parts_.walk.BytesFrom(address);
    if (!bytes) return bytes.status();
    return *bytes > 0;
  }
  /// How many bytes the program may use of a live block from `address` on, as UsableBytes() says; 0
  /// if that lies in none.
  /// Errors  kCorrupt, kNoMemory.
  Result<uint64_t> BytesFrom(const void* address) const;
  using VisitBlock = HeapWalk::VisitBlock;
  /// Calls `visit` for each live block, in the order of addresses, until it returns false. `bytes`
  /// is what UsableBytes() says. `visit` calls of the heap only what this class has.
  /// Errors  kCorrupt, kNoMemory.
  Status ForEachBlock(const VisitBlock& visit) const { return ForEachBlockBehind(0, visit); }
  /// As ForEachBlock(), for the blocks that end behind the first `offset` bytes of the heap.
  Status ForEachBlockBehind(uint64_t offset, const VisitBlock& visit) const;

  /// Gives up the range from size_bytes on, before the pool takes it back.
  /// Durability  on return: after a crash, nothing of the heap lies there.
  /// Errors      kBusy: a block is in use there; kCorrupt, kNoMemory. The size stays as it was.
  Status Shrink(uint64_t size_bytes) const;

  /// Does what FlushFrees() does, and marks the heap as clean. In a heap that is read-only or under
  /// the snapshot contract, does neither. Only the heap's destructor may follow.
  /// Durability  on return.
  /// Errors      kCorrupt, kNoMemory: part of the heap cannot be read; it stays marked as in use.
  Status Close() const { return parts_.durability.Close(); }

 private:
  const StoppedParts& parts_;
  Guard* guard_;
  std::unique_lock<Mutex> lock_;
  ThreadParts::Gate gate_;
};

}  // namespace morsel::alloc
