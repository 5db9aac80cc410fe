#include "morsel/memory_resource.hpp"

#include <new>

#include "base/check.h"
#include "base/deferred_cancellation.h"
#include "base/error.h"
#include "morsel/open/open_morsel.h"
#include "morsel/open/process.h"

namespace morsel {

void* memory_resource::do_allocate(size_t bytes, size_t alignment) {
  OpenMorsel* const morsel = MorselAt(base_);
  if (morsel != nullptr && alignment <= alloc::kBlockBytesMin) {
    if (void* const block = alloc::Heap::TryAllocate(morsel, bytes); block != nullptr) return block;
  }
  if (morsel == nullptr) {
    (void)Fail(Code::kInvalidArgument,
               "%p is the base of no open morsel: the one whose memory resource this was is closed",
               base_);
    throw BadAlloc(LastError());
  }
  if (!morsel->MayWrite("allocate").ok()) throw BadAlloc(LastError());
  const DeferredCancellation deferred;
  const Result<void*> block = morsel->heap().Allocate(bytes, alignment);
  if (!block) throw BadAlloc(LastError());
  return *block;
}

void memory_resource::do_deallocate(void* block, size_t, size_t) {
  OpenMorsel* const morsel = MorselAt(base_);
  if (morsel == nullptr) {
    Die("deallocate of %p: no open morsel has this address: its morsel was closed before what is "
        "in "
        "it was destroyed, or is a parent's of this process",
        block);
  }
  if (alloc::Heap::TryFree(morsel, block)) return;
  if (alloc::Heap::TryFreeRemote(morsel, block)) return;
  const DeferredCancellation deferred;
  if (morsel->MayWrite("deallocate").ok()) morsel->heap().Free(block);
}

bool memory_resource::do_is_equal(const std::pmr::memory_resource& other) const noexcept {
  return this == &other;
}

}  // namespace morsel
