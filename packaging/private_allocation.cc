// The operators new and delete, and malloc(3) and its kin, of the installed library alone. The
// program may replace its own, and may serve them from a morsel: then the library's tables must not
// come from there. Nobody else sees these symbols (`exports` of merged_archive in rules.bzl).
//
// All that the library takes by one of them it gives back by one of them. So its code uses nothing
// of the C or C++ library that allocates for the caller, or frees what the caller allocated.
#include <cstddef>
#include <cstdlib>
#include <new>

// The C library's own, which stay what they are where malloc(3) is replaced.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void* block);
}

namespace {

void* NewOrThrow(void* block) {
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

size_t AtLeastOne(size_t bytes) { return bytes == 0 ? 1 : bytes; }
size_t Of(std::align_val_t alignment) { return static_cast<size_t>(alignment); }

}  // namespace

extern "C" {

void* malloc(size_t bytes) noexcept { return __libc_malloc(bytes); }
void* calloc(size_t count, size_t bytes) noexcept { return __libc_calloc(count, bytes); }
void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
  return __libc_memalign(alignment, bytes);
}
void free(void* block) noexcept { __libc_free(block); }

}  // extern "C"

void* operator new(size_t bytes) { return NewOrThrow(__libc_malloc(AtLeastOne(bytes))); }
void* operator new[](size_t bytes) { return operator new(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return __libc_malloc(AtLeastOne(bytes));
}
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
  return __libc_malloc(AtLeastOne(bytes));
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  return NewOrThrow(__libc_memalign(Of(alignment), AtLeastOne(bytes)));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  return operator new(bytes, alignment);
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return __libc_memalign(Of(alignment), AtLeastOne(bytes));
}
void* operator new[](size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return __libc_memalign(Of(alignment), AtLeastOne(bytes));
}

void operator delete(void* block) noexcept { __libc_free(block); }
void operator delete[](void* block) noexcept { __libc_free(block); }
void operator delete(void* block, size_t) noexcept { __libc_free(block); }
void operator delete[](void* block, size_t) noexcept { __libc_free(block); }
void operator delete(void* block, std::align_val_t) noexcept { __libc_free(block); }
void operator delete[](void* block, std::align_val_t) noexcept { __libc_free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { __libc_free(block); }
void operator delete[](void* block, size_t, std::align_val_t) noexcept { __libc_free(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { __libc_free(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { __libc_free(block); }
