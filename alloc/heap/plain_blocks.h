// The heap's own calls, without a guard: what the calling thread's part can do by itself,
// and what needs the lock.
#pragma once

#include "alloc/heap/block_calls.h"
#include "alloc/heap/durability.h"
#include "alloc/heap/segments/segment_table.h"
#include "alloc/heap/supply/block_source.h"
#include "alloc/heap/supply/extents.h"
#include "alloc/heap/supply/heap_facts.h"
#include "alloc/heap/supply/heap_range.h"
#include "alloc/heap/supply/host_memory.h"
#include "alloc/heap/supply/known_segments.h"
#include "alloc/heap/threads/thread_parts.h"
#include "base/mutex.h"
#include "base/result.h"

namespace morsel::alloc {

/// What of a heap's parts its calls work on.
/// Ownership  all of them outlive the calls.
struct PlainBlocksParts {
  Mutex& lock;  ///< the heap's
  const SegmentTable& table;
  CentralSlabs& central;
  ThreadParts& threads;
  KnownSegments& known;
  HeapRange& range;
  HostMemory& host;
  Extents& extents;
  BlockSource& source;
  Durability& durability;
};

class PlainBlocks final : public BlockCalls {
 public:
  PlainBlocks(const HeapFacts& facts, const PlainBlocksParts& parts)
      : facts_(facts), parts_(parts) {}

  Result<void*> Allocate(uint64_t size_bytes, uint64_t alignment) override;
  Result<void*> AllocateZeroed(uint64_t size_bytes) override;
  void Free(void* block) override;
  Result<void*> Reallocate(void* block, uint64_t size_bytes) override;
  uint64_t UsableBytes(const void* block, const char* call) override;
  Result<bool> IsLive(const void* address, bool must_begin) override;
  uint64_t BytesMax() const override { return facts_.header->capacity_bytes; }
  uint64_t KeptBytesMax() const override;
  void ReleaseKept() override {}

 private:
  Status CheckSize(uint64_t size_bytes) const;
  Result<Extents::Extent> AllocateExtent(uint64_t size_bytes, uint64_t alignment);
  void FreeLocked(ThreadHeap& mine, void* block);

  const HeapFacts& facts_;
  const PlainBlocksParts parts_;
};

}  // namespace morsel::alloc
