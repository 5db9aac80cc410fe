// The malloc of the program that this library is preloaded into, out of a snapshot morsel: for
// preload.py, which measures what programs of Debian cost with it. The morsel has default options
// and lies in a directory pool of its own, in $TMPDIR or /dev/shm, whose folder is removed once it
// is open: so nothing is left, however the program ends.
//
// The C library's malloc serves what comes before the constructor here, what the library asks for
// inside its calls, and all that a forked child asks for. A block goes back to where it came from.
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "bench/place.h"
#include "morsel/morsel.h"

// The C library's own, by names that nobody replaces.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* block, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void* block);
}

namespace {

// Null before it is open, and in a forked child.
morsel_t* heap;
// Of the morsel, in a child as well: its blocks are there, copied on write.
uintptr_t base;
uint64_t capacity_bytes;
uint64_t size_bytes_at_fork;
// How deep this thread is in calls of the library. It has no threads of its own that allocate.
[[gnu::tls_model("initial-exec")]] thread_local int depth;

class InLibrary {
 public:
  InLibrary() { ++depth; }
  ~InLibrary() { --depth; }
  InLibrary(const InLibrary&) = delete;
  InLibrary& operator=(const InLibrary&) = delete;
};

bool MorselServes() { return heap != nullptr && depth == 0; }

bool IsMorsels(const void* block) {
  return reinterpret_cast<uintptr_t>(block) - base < capacity_bytes;
}

void Must(morsel_code code) {
  if (code != MORSEL_OK) bench::Fail(morsel_code_name(code), morsel_last_error());
}

// Called after the library's own handlers, which it registers later than this is: nothing grows
// any more. A morsel is not copied to a child; what malloc returned has to be.
void BeforeFork() {
  if (heap == nullptr) return;  // a child that forks: what was copied to it is copied on
  size_bytes_at_fork = morsel_size(heap);
  if (madvise(reinterpret_cast<void*>(base), capacity_bytes, MADV_DOFORK) != 0) {
    bench::Fail("madvise(MADV_DOFORK)", std::strerror(errno));
  }
}

void InChild() { heap = nullptr; }

[[gnu::constructor]] void Open() {
  const InLibrary inside;
  const char* const folder = std::getenv("TMPDIR");
  std::string place =
      std::string(folder != nullptr ? folder : "/dev/shm") + "/morsel-malloc-XXXXXX";
  if (mkdtemp(place.data()) == nullptr) bench::Fail(place.c_str(), std::strerror(errno));
  if (pthread_atfork(BeforeFork, nullptr, InChild) != 0) bench::Fail("pthread_atfork", "");
  morsel_pool_options pool_options = {};
  pool_options.flags = MORSEL_CREATE;
  morsel_pool_t* pool = nullptr;
  Must(morsel_pool_open((place + "/pool").c_str(), &pool_options, &pool));
  morsel_options options = {};
  options.flags = MORSEL_CREATE;
  morsel_t* morsel = nullptr;
  Must(morsel_open(pool, "heap", &options, &morsel));
  std::filesystem::remove_all(place);
  base = reinterpret_cast<uintptr_t>(morsel_base(morsel));
  capacity_bytes = morsel_capacity(morsel);
  heap = morsel;
}

void* AlignedBlock(size_t alignment, size_t bytes) {
  if (!MorselServes()) return __libc_memalign(alignment, bytes);
  const InLibrary inside;
  return morsel_aligned_alloc(heap, alignment, bytes);
}

size_t PageBytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// In a child the heap cannot say how large a block of its parent's is. What lies behind the block
// is there to be read, and nobody looks at the copy of it.
void* MovedInChild(void* block, size_t bytes) {
  void* const moved = __libc_malloc(bytes);
  if (moved == nullptr) return nullptr;
  const uint64_t there_bytes = base + size_bytes_at_fork - reinterpret_cast<uintptr_t>(block);
  std::memcpy(moved, block, std::min<uint64_t>(bytes, there_bytes));
  return moved;
}

size_t UsableOfLibc(void* block) {
  using UsableSize = size_t (*)(void*);
  static const auto usable_size = [] {
    const InLibrary inside;
    // The next one after this library's may be another allocator's.
    void* const libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    return reinterpret_cast<UsableSize>(dlsym(libc, "malloc_usable_size"));
  }();
  return usable_size(block);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

void* malloc(size_t bytes) noexcept {
  if (!MorselServes()) return __libc_malloc(bytes);
  const InLibrary inside;
  return morsel_malloc(heap, bytes);
}

void free(void* block) noexcept {
  if (!IsMorsels(block)) return __libc_free(block);
  if (heap == nullptr) return;  // a child's copy, which ends with the child
  const InLibrary inside;
  morsel_free(heap, block);
}

void* calloc(size_t count, size_t bytes) noexcept {
  if (!MorselServes()) return __libc_calloc(count, bytes);
  const InLibrary inside;
  return morsel_calloc(heap, count, bytes);
}

void* realloc(void* block, size_t bytes) noexcept {
  if (block == nullptr) return malloc(bytes);
  if (!IsMorsels(block)) return __libc_realloc(block, bytes);
  if (bytes == 0) {
    free(block);
    return nullptr;
  }
  if (heap == nullptr) return MovedInChild(block, bytes);
  const InLibrary inside;
  return morsel_realloc(heap, block, bytes);
}

void* reallocarray(void* block, size_t count, size_t bytes) noexcept {
  size_t all_bytes = 0;
  if (!__builtin_mul_overflow(count, bytes, &all_bytes)) return realloc(block, all_bytes);
  errno = ENOMEM;
  return nullptr;
}

void* memalign(size_t alignment, size_t bytes) noexcept { return AlignedBlock(alignment, bytes); }
void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
  return AlignedBlock(alignment, bytes);
}

int posix_memalign(void** block, size_t alignment, size_t bytes) noexcept {
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  const int error_before = errno;
  void* const got = AlignedBlock(alignment, bytes);
  errno = error_before;
  if (got == nullptr) return ENOMEM;
  *block = got;
  return 0;
}

void* valloc(size_t bytes) noexcept { return AlignedBlock(PageBytes(), bytes); }
void* pvalloc(size_t bytes) noexcept {
  return AlignedBlock(PageBytes(), (bytes + PageBytes() - 1) / PageBytes() * PageBytes());
}

/// 0 in a child for a block of its parent's.
size_t malloc_usable_size(void* block) noexcept {
  if (!IsMorsels(block)) return UsableOfLibc(block);
  const InLibrary inside;
  return heap == nullptr ? 0 : morsel_usable_size(heap, block);
}

}  // extern "C"
#pragma GCC visibility pop
