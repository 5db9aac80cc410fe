// The heap's calls while it is guarded. The guard's mutex is never held when they enter
// the heap.
#include <algorithm>
#include <cstring>

#include "alloc/heap/guard/guard.h"
#include "alloc/heap/heap.h"
#include "base/check.h"

namespace morsel::alloc {

void Heap::BeGuarded() {
  // This empties the slots. MyCache() fills none from now on.
  const StoppedWorld stopped = StopTheWorld();
  guard_ = std::make_unique<Guard>();
}

Result<void*> Heap::AllocateGuarded(uint64_t size_bytes, uint64_t alignment) {
  const bool too_large = size_bytes > header_->capacity_bytes;
  const uint64_t wanted = too_large ? size_bytes : Guard::BytesFor(size_bytes);
  Result<void*> block = AllocateUnguarded(wanted, alignment);
  if (!block && block.error() == Code::kNoSpace) {
    FreeWhatIsKept();
    block = AllocateUnguarded(wanted, alignment);
  }
  if (block) guard_->Given(*block, size_bytes, UsableUnguarded(*block, "malloc"));
  return block;
}

uint64_t Heap::UsableUnguarded(const void* block, const char* call) {
  const std::lock_guard lock(mutex_);
  return LiveSegment(block, call).UsableBytes();
}

uint64_t Heap::UsableGuarded(const void* block, const char* call) {
  const std::optional<uint64_t> size_bytes = guard_->SizeOf(block, call);
  return size_bytes ? *size_bytes : UsableUnguarded(block, call);
}

Result<void*> Heap::ReallocateGuarded(void* block, uint64_t size_bytes) {
  const uint64_t before = UsableGuarded(block, "realloc");
  const Result<void*> moved = AllocateGuarded(size_bytes, kBlockBytesMin);
  if (!moved) return moved;
  std::memcpy(*moved, block, std::min(before, size_bytes));
  FreeSlowly(block);
  return moved;
}

void Heap::FreeSlowly(void* block) {
  if (guard_ == nullptr) return FreeUnguarded(block);
  const uint64_t usable_bytes = UsableGuarded(block, "free");
  const uint64_t kept_bytes_max = fine_ ? FreeBudget::OfGuard(size_bytes()) : ~uint64_t{0};
  for (void* const taken : guard_->Freed(block, usable_bytes, kept_bytes_max)) FreeUnguarded(taken);
}

void Heap::FreeWhatIsKept() {
  if (guard_ == nullptr) return;
  for (void* const taken : guard_->TakeAll()) FreeUnguarded(taken);
}

}  // namespace morsel::alloc
