#include "morsel/memory_resource.hpp"

#include <new>

#include "morsel/morsel.h"

namespace morsel {

void* memory_resource::do_allocate(size_t bytes, size_t alignment) {
  void* const block = morsel_aligned_alloc(morsel_of(base_), alignment, bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void memory_resource::do_deallocate(void* block, size_t, size_t) {
  morsel_free(morsel_of(base_), block);
}

bool memory_resource::do_is_equal(const std::pmr::memory_resource& other) const noexcept {
  return this == &other;
}

}  // namespace morsel
