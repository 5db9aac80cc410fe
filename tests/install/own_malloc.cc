// A program with a malloc() of its own, as those of AddressSanitizer and of many allocators are:
// its blocks are none that the C library's free() takes, and the reverse. All that the library
// takes from the C and C++ libraries goes back to who gave it. usage: own_malloc POOL; with
// -DOF_THE_COMPILER, malloc() is the sanitizer's.
#include <morsel/roots.h>
#include <morsel/tools.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <morsel/morsel.hpp>
#include <new>
#include <string>
#include <thread>
#include <typeinfo>
#include <vector>

namespace {

[[noreturn]] void Fail(const char* what) {
  // Without memory of anybody.
  (void)!write(STDERR_FILENO, what, std::strlen(what));
  _exit(1);
}

}  // namespace

#ifndef OF_THE_COMPILER

namespace {

constexpr size_t kArenaBytes = size_t{256} << 20;
constexpr uint64_t kMark = 0x5A5A5A5A5A5A5A51;  // no size that glibc takes

alignas(4096) char arena[kArenaBytes];
size_t used = 0;

struct Header {
  uint64_t bytes;
  uint64_t mark;
};

void* Allocate(size_t alignment, size_t bytes) {
  static_assert(sizeof(Header) == 16);
  if (bytes > kArenaBytes) return nullptr;
  if (alignment < 16) alignment = 16;
  size_t at = __atomic_load_n(&used, __ATOMIC_RELAXED);
  size_t block = 0;
  do {
    block = (at + sizeof(Header) + alignment - 1) & ~(alignment - 1);
    if (block + bytes > kArenaBytes) return nullptr;
  } while (!__atomic_compare_exchange_n(&used, &at, block + bytes, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
  const Header header = {bytes, kMark};
  std::memcpy(arena + block - sizeof header, &header, sizeof header);
  return arena + block;
}

uint64_t BytesOf(const void* block) {
  const auto* const at = static_cast<const char*>(block);
  if (at < arena || at >= arena + kArenaBytes) Fail("a block of another malloc() was freed\n");
  Header header;
  std::memcpy(&header, at - sizeof header, sizeof header);
  if (header.mark != kMark) Fail("what is no block was freed, or a block twice\n");
  return header.bytes;
}

}  // namespace

extern "C" {
void* malloc(size_t bytes) noexcept { return Allocate(16, bytes); }
void* calloc(size_t count, size_t bytes) noexcept {
  if (bytes != 0 && count > kArenaBytes / bytes) return nullptr;
  return Allocate(16, count * bytes);  // the arena is never used again
}
void free(void* block) noexcept {
  if (block == nullptr) return;
  (void)BytesOf(block);
  std::memset(static_cast<char*>(block) - sizeof(uint64_t), 0, sizeof(uint64_t));
}
void* realloc(void* block, size_t bytes) noexcept {
  void* const moved = Allocate(16, bytes);
  if (block == nullptr || moved == nullptr) return moved;
  const uint64_t before = BytesOf(block);
  std::memcpy(moved, block, before < bytes ? before : bytes);
  free(block);
  return moved;
}
void* aligned_alloc(size_t alignment, size_t bytes) noexcept { return Allocate(alignment, bytes); }
void* memalign(size_t alignment, size_t bytes) noexcept { return Allocate(alignment, bytes); }
int posix_memalign(void** block, size_t alignment, size_t bytes) noexcept {
  *block = Allocate(alignment, bytes);
  return *block == nullptr ? ENOMEM : 0;
}
}

#endif

namespace shapes {

class AShapeWithANameThatFillsMoreThanASmallBuffer {
 public:
  virtual ~AShapeWithANameThatFillsMoreThanASmallBuffer() = default;
  int64_t side = 3;
};
struct Before {
  int64_t number;
};
struct After {
  int64_t number, another;
};

}  // namespace shapes

namespace {

using Shape = shapes::AShapeWithANameThatFillsMoreThanASmallBuffer;

void Must(bool holds, const char* what) {
  if (holds) return;
  Fail((std::string(what) + ": " + morsel_last_error() + "\n").c_str());
}

void Contains(const char* text, const char* part) {
  if (text == nullptr || std::strstr(text, part) == nullptr) {
    Fail((std::string(part) + " is not in: " + (text == nullptr ? "" : text) + "\n").c_str());
  }
}

int Found(const morsel_pointer* pointer, void* times) {
  Contains(pointer->symbol, "shapes::AShapeWithANameThatFillsMoreThanASmallBuffer");
  ++*static_cast<int*>(times);
  return 0;
}

morsel_t* Open(morsel_pool_t* pool) {
  morsel_options options{};
  options.flags = MORSEL_CREATE;
  options.codec = MORSEL_CODEC_ZSTD;
  morsel_t* opened = nullptr;
  Must(morsel_open(pool, "m", &options, &opened) == MORSEL_OK, "morsel_open");
  return opened;
}

morsel_pool_t* OpenPool(const char* path) {
  morsel_pool_options options{};
  options.flags = MORSEL_CREATE;
  morsel_pool_t* pool = nullptr;
  Must(morsel_pool_open(path, &options, &pool) == MORSEL_OK, "morsel_pool_open");
  return pool;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (int life = 0; life < 2; ++life) {
    morsel_pool_t* const pool = OpenPool(argv[1]);
    morsel_t* const opened = Open(pool);
    void* const block = morsel_malloc(opened, sizeof(Shape));
    Must(block != nullptr, "morsel_malloc");
    const auto* const shape = new (block) Shape;
    int times = 0;
    Must(morsel_check_pointers(opened, Found, &times) == MORSEL_OK, "morsel_check_pointers");
    Must(times == 1, "the table of functions was found");
    morsel_free(opened, const_cast<Shape*>(shape));

    morsel_type before{};
    before.struct_size = sizeof before;
    before.name = typeid(shapes::Before).name();
    before.size = sizeof(shapes::Before);
    before.alignment = alignof(shapes::Before);
    before.flags = MORSEL_MANGLED;
    morsel_type after = before;
    after.name = typeid(shapes::After).name();
    after.size = sizeof(shapes::After);
    void* const object = morsel_malloc(opened, sizeof(shapes::Before));
    Must(morsel_set_root_typed(opened, "root", object, &before, 0) == MORSEL_OK, "set_root_typed");
    Must(morsel_root_typed(opened, "root", &after) == nullptr, "a root of another type");
    Contains(morsel_last_error(), "shapes::Before");
    Contains(morsel_last_error(), "shapes::After");

    morsel_check_info info{};
    info.struct_size = sizeof info;
    // The library's tables grow, and give memory back that is aligned.
    std::vector<void*> blocks(20'000);
    for (void*& one : blocks) one = morsel_malloc(opened, 1000);
    for (void* const one : blocks) morsel_free(opened, one);
    std::thread([&] { morsel_free(opened, morsel_malloc(opened, 64)); }).join();

    Must(morsel_checkpoint(opened) == MORSEL_OK, "morsel_checkpoint");
    Must(morsel_close(opened) == MORSEL_OK, "morsel_close");
    Must(morsel_check(pool, nullptr, nullptr, nullptr, &info) == MORSEL_OK && info.damages == 0,
         "morsel_check");
    Must(morsel_pool_close(pool) == MORSEL_OK, "morsel_pool_close");
  }
  std::printf("all went back\n");
  return 0;
}
