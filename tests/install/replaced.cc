// A program whose operators new and delete allocate from a morsel and, with MALLOC_TOO, whose
// malloc() and its kin do, too, as morsel.h allows.
// usage: replaced POOL
#include <morsel/morsel.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* block, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void* block);
}

namespace {

morsel_t* serving = nullptr;
size_t served = 0;  // by the morsel

thread_local bool made_by_program = false;

void* FromMorsel(size_t alignment, size_t bytes) {
  ++served;
  if (alignment <= 16) return morsel_malloc(serving, bytes);
  return morsel_aligned_alloc(serving, alignment, bytes);
}

#ifdef MALLOC_TOO

thread_local bool inside = false;  // a call of the library

class Inside {
 public:
  Inside() : before_(inside) { inside = true; }
  ~Inside() { inside = before_; }

 private:
  bool before_;
};

void* Allocate(size_t alignment, size_t bytes) {
  if (serving == nullptr || inside || !made_by_program) return __libc_memalign(alignment, bytes);
  const Inside in;
  return FromMorsel(alignment, bytes);
}

void Free(void* block) {
  morsel_t* const morsel = morsel_of(block);
  if (morsel == nullptr) return __libc_free(block);
  const Inside in;
  morsel_free(morsel, block);
}

#else

class Inside {
 public:
  Inside() {}
};

void* Allocate(size_t alignment, size_t bytes) {
  return serving == nullptr ? __libc_memalign(alignment, bytes) : FromMorsel(alignment, bytes);
}

void Free(void* block) {
  morsel_t* const morsel = morsel_of(block);
  morsel == nullptr ? __libc_free(block) : morsel_free(morsel, block);
}

#endif

void* New(size_t alignment, size_t bytes) {
  void* const block = Allocate(alignment, bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
size_t Of(std::align_val_t alignment) { return static_cast<size_t>(alignment); }

}  // namespace

#ifdef MALLOC_TOO
extern "C" {
void* malloc(size_t bytes) noexcept { return Allocate(16, bytes); }
void* calloc(size_t count, size_t bytes) noexcept {
  if (serving == nullptr || inside || !made_by_program) return __libc_calloc(count, bytes);
  const Inside in;
  ++served;
  return morsel_calloc(serving, count, bytes);
}
void* realloc(void* block, size_t bytes) noexcept {
  if (block == nullptr) return Allocate(16, bytes);
  morsel_t* const morsel = morsel_of(block);
  if (morsel == nullptr) return __libc_realloc(block, bytes);
  const Inside in;
  return morsel_realloc(morsel, block, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) noexcept { return Allocate(alignment, bytes); }
void* memalign(size_t alignment, size_t bytes) noexcept { return Allocate(alignment, bytes); }
int posix_memalign(void** block, size_t alignment, size_t bytes) noexcept {
  *block = Allocate(alignment, bytes);
  return 0;
}
void free(void* block) noexcept { Free(block); }
}
#endif

void* operator new(size_t bytes) { return New(16, bytes); }
void* operator new[](size_t bytes) { return New(16, bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return Allocate(16, bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return Allocate(16, bytes); }
void* operator new(size_t bytes, std::align_val_t alignment) { return New(Of(alignment), bytes); }
void* operator new[](size_t bytes, std::align_val_t alignment) { return New(Of(alignment), bytes); }
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return Allocate(Of(alignment), bytes);
}
void* operator new[](size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return Allocate(Of(alignment), bytes);
}
void operator delete(void* block) noexcept { Free(block); }
void operator delete[](void* block) noexcept { Free(block); }
void operator delete(void* block, size_t) noexcept { Free(block); }
void operator delete[](void* block, size_t) noexcept { Free(block); }
void operator delete(void* block, std::align_val_t) noexcept { Free(block); }
void operator delete[](void* block, std::align_val_t) noexcept { Free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { Free(block); }
void operator delete[](void* block, size_t, std::align_val_t) noexcept { Free(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { Free(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { Free(block); }

namespace {

void Must(bool holds, const char* what) {
  if (holds) return;
  std::printf("%s: %s\n", what, morsel_last_error());
  _exit(1);
}

morsel_t* Open(morsel_pool_t* pool, const char* name) {
  const Inside in;
  morsel_options options{};
  options.flags = MORSEL_CREATE;
  options.codec = MORSEL_CODEC_ZSTD;
  morsel_t* opened = nullptr;
  Must(morsel_open(pool, name, &options, &opened) == MORSEL_OK, "morsel_open");
  return opened;
}

void Checkpoint(morsel_t* morsel) {
  const Inside in;
  Must(morsel_checkpoint(morsel) == MORSEL_OK, "morsel_checkpoint");
}

// The operators are called by this code, by the C++ library, and in threads.
void Work() {
  std::map<std::string, std::vector<int>> all;
  for (int i = 0; i < 20'000; ++i) {
    all["a name that is too long to be in the string itself " + std::to_string(i)].resize(500, i);
  }
  struct alignas(4096) Page {
    char bytes[4096] = {};
  };
  const auto page = std::make_unique<Page>();
  try {
    throw std::runtime_error("an exception with a text of its own, which is not short");
  } catch (const std::exception& thrown) {
    all[thrown.what()] = {page->bytes[0]};
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  alarm(120);  // where the library waits for itself
  made_by_program = true;
  setvbuf(stdout, nullptr, _IONBF, 0);
  morsel_pool_options options{};
  options.flags = MORSEL_CREATE;
  morsel_pool_t* pool = nullptr;
  Must(morsel_pool_open(argv[1], &options, &pool) == MORSEL_OK, "morsel_pool_open");
  serving = Open(pool, "heap");

  Work();
  std::thread([] {
    made_by_program = true;
    Work();
  }).join();
  Checkpoint(serving);
  morsel_t* const other = Open(pool, "other");
  Work();
  {
    const Inside in;
    Must(morsel_close(other) == MORSEL_OK, "morsel_close");
    morsel_info info{};
    Must(morsel_stat(serving, &info) == MORSEL_OK, "morsel_stat");
    Must(info.size_bytes > uint64_t{30} << 20, "the morsel has served it all");
  }
  Must(served > 100'000, "the morsel has served");

  morsel_t* const closing = serving;
  serving = nullptr;
  Must(morsel_close(closing) == MORSEL_OK && morsel_pool_close(pool) == MORSEL_OK, "the close");
  std::printf("served\n");
  _exit(0);  // what the C library keeps may be in the morsel
}
