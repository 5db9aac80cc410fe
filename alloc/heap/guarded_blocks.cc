#include "alloc/heap/guarded_blocks.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "alloc/heap/layout/size_class.h"

namespace morsel::alloc {

Result<void*> GuardedBlocks::Allocate(uint64_t size_bytes, uint64_t alignment) {
  // What the heap can never have is asked for as it is, so that the message has the program's
  // number.
  const bool too_large = size_bytes > heap_.BytesMax();
  const uint64_t wanted = too_large ? size_bytes : Guard::BytesFor(size_bytes);
  Result<void*> block = heap_.Allocate(wanted, alignment);
  if (!block && block.error() == Code::kNoSpace) {
    ReleaseKept();
    block = heap_.Allocate(wanted, alignment);
  }
  if (block) guard_.Given(*block, size_bytes, heap_.UsableBytes(*block, "malloc"));
  return block;
}

Result<void*> GuardedBlocks::AllocateZeroed(uint64_t size_bytes) {
  const Result<void*> block = Allocate(size_bytes, kBlockBytesMin);
  if (block) std::memset(*block, 0, size_bytes);
  return block;
}

uint64_t GuardedBlocks::UsableBytes(const void* block, const char* call) {
  const std::optional<uint64_t> size_bytes = guard_.SizeOf(block, call);
  return size_bytes ? *size_bytes : heap_.UsableBytes(block, call);
}

Result<void*> GuardedBlocks::Reallocate(void* block, uint64_t size_bytes) {
  const uint64_t before = UsableBytes(block, "realloc");
  const Result<void*> moved = Allocate(size_bytes, kBlockBytesMin);
  if (!moved) return moved;
  std::memcpy(*moved, block, std::min(before, size_bytes));
  Free(block);
  return moved;
}

void GuardedBlocks::Free(void* block) {
  const uint64_t usable_bytes = UsableBytes(block, "free");
  for (void* const taken : guard_.Freed(block, usable_bytes, heap_.KeptBytesMax())) {
    heap_.Free(taken);
  }
}

Result<bool> GuardedBlocks::IsLive(const void* address, bool must_begin) {
  if (guard_.HasFreed(address)) return false;
  return heap_.IsLive(address, must_begin);
}

void GuardedBlocks::ReleaseKept() {
  for (void* const taken : guard_.TakeAll()) heap_.Free(taken);
}

}  // namespace morsel::alloc
