// The calls of a guarded heap: the guard sees each block that is allocated or freed, and
// the heap's own calls do the work. The guard's mutex is never held when they enter the heap.
#pragma once

#include "alloc/heap/block_calls.h"
#include "alloc/heap/guard/guard.h"

namespace morsel::alloc {

class GuardedBlocks final : public BlockCalls {
 public:
  /// Ownership  `heap` outlives this object.
  explicit GuardedBlocks(BlockCalls& heap) : heap_(heap) {}

  Guard& guard() { return guard_; }

  /// Errors  as the heap's; kNoSpace only after what was kept is freed.
  Result<void*> Allocate(uint64_t size_bytes, uint64_t alignment) override;
  Result<void*> AllocateZeroed(uint64_t size_bytes) override;
  void Free(void* block) override;
  /// Always moves the block, so that who uses the old one is found.
  Result<void*> Reallocate(void* block, uint64_t size_bytes) override;
  /// As many as the program asked for; of a block that is older than the guard, as the heap.
  uint64_t UsableBytes(const void* block, const char* call) override;
  Result<bool> IsLive(const void* address, bool must_begin) override;
  uint64_t BytesMax() const override { return heap_.BytesMax(); }
  uint64_t KeptBytesMax() const override { return heap_.KeptBytesMax(); }
  void ReleaseKept() override;

 private:
  BlockCalls& heap_;
  Guard guard_;
};

}  // namespace morsel::alloc
