#include "alloc/heap/guard/memory_marks.h"

#include <valgrind/memcheck.h>

#include <cstddef>

extern "C" {
__attribute__((weak)) void __asan_poison_memory_region(const volatile void* begin,
                                                       std::size_t bytes);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void* begin,
                                                         std::size_t bytes);
}

namespace morsel::alloc {
namespace {

bool InValgrind() {
  static const bool is = RUNNING_ON_VALGRIND != 0;
  return is;
}

bool InAsan() {
  return __asan_poison_memory_region != nullptr && __asan_unpoison_memory_region != nullptr;
}

}  // namespace

bool MarksAreSeen() { return InValgrind() || InAsan(); }

void MarkGiven(char* block, uint64_t size_bytes, uint64_t usable_bytes) {
  if (InValgrind()) VALGRIND_MALLOCLIKE_BLOCK(block, size_bytes, 0, 0);
  if (InAsan()) __asan_unpoison_memory_region(block, size_bytes);
  MarkClosed(block + size_bytes, usable_bytes - size_bytes);
}

void MarkFreed(char* block, uint64_t usable_bytes, bool given) {
  if (InValgrind() && given) VALGRIND_FREELIKE_BLOCK(block, 0);
  MarkClosed(block, usable_bytes);
}

void MarkForgotten(char* block, uint64_t usable_bytes) {
  if (InValgrind()) VALGRIND_FREELIKE_BLOCK(block, 0);
  MarkOpen(block, usable_bytes);
}

void MarkOpen(const char* begin, uint64_t size_bytes) {
  if (InValgrind()) (void)VALGRIND_MAKE_MEM_DEFINED(begin, size_bytes);
  if (InAsan()) __asan_unpoison_memory_region(begin, size_bytes);
}

void MarkClosed(const char* begin, uint64_t size_bytes) {
  if (InValgrind()) (void)VALGRIND_MAKE_MEM_NOACCESS(begin, size_bytes);
  if (InAsan()) __asan_poison_memory_region(begin, size_bytes);
}

ReportsAreOff::ReportsAreOff() { VALGRIND_DISABLE_ERROR_REPORTING; }
ReportsAreOff::~ReportsAreOff() { VALGRIND_ENABLE_ERROR_REPORTING; }

}  // namespace morsel::alloc
