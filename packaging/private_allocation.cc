// The operators new and delete, and malloc(3) and its kin, of the installed library alone. The
// program may replace its own, and may serve them from a morsel: then the library's tables must not
// come from there. Nobody else sees these symbols (`exports` of merged_archive in rules.bzl).
//
// All that the library takes by one of them it gives back by one of them. So its code uses nothing
// of the C or C++ library that allocates for the caller, or frees what the caller allocated.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

// The C library's own, which stay what they are where malloc(3) is replaced.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void __libc_free(void* block);
}

namespace {

void* NewOrThrow(void* block) {
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

size_t AtLeastOne(size_t bytes) { return bytes == 0 ? 1 : bytes; }

// Not by __libc_memalign(), which sanitizers replace, while they leave __libc_free() as it is. The
// address of the whole block lies before the aligned part.
void* NewAligned(size_t bytes, std::align_val_t alignment) {
  const size_t multiple = static_cast<size_t>(alignment);
  const size_t more = multiple + sizeof(void*);
  if (bytes > std::numeric_limits<size_t>::max() - more) return nullptr;
  char* const whole = static_cast<char*>(__libc_malloc(bytes + more));
  if (whole == nullptr) return nullptr;
  const uintptr_t first = reinterpret_cast<uintptr_t>(whole) + sizeof(void*);
  char* const block = whole + sizeof(void*) + (multiple - first % multiple) % multiple;
  std::memcpy(block - sizeof(void*), &whole, sizeof whole);
  return block;
}
void DeleteAligned(void* block) {
  if (block == nullptr) return;
  void* whole;
  std::memcpy(&whole, static_cast<char*>(block) - sizeof(void*), sizeof whole);
  __libc_free(whole);
}

}  // namespace

extern "C" {

void* malloc(size_t bytes) noexcept { return __libc_malloc(bytes); }
void* calloc(size_t count, size_t bytes) noexcept { return __libc_calloc(count, bytes); }
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
  return NewOrThrow(NewAligned(bytes, alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  return operator new(bytes, alignment);
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return NewAligned(bytes, alignment);
}
void* operator new[](size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return NewAligned(bytes, alignment);
}

void operator delete(void* block) noexcept { __libc_free(block); }
void operator delete[](void* block) noexcept { __libc_free(block); }
void operator delete(void* block, size_t) noexcept { __libc_free(block); }
void operator delete[](void* block, size_t) noexcept { __libc_free(block); }
void operator delete(void* block, std::align_val_t) noexcept { DeleteAligned(block); }
void operator delete[](void* block, std::align_val_t) noexcept { DeleteAligned(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { DeleteAligned(block); }
void operator delete[](void* block, size_t, std::align_val_t) noexcept { DeleteAligned(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { __libc_free(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { __libc_free(block); }
