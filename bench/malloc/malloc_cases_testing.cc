// What programs ask of malloc(3) and its kin, beyond a malloc and a free: preload_test.py runs it
// under each allocator. It prints where a block of main() lies.
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

void Check(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::exit(1);
}

char* Filled(void* block, size_t bytes, int byte) {
  Check(block != nullptr, "a block was allocated");
  return static_cast<char*>(std::memset(block, byte, bytes));
}

bool IsFull(const char* block, size_t bytes, int byte) {
  for (size_t i = 0; i < bytes; ++i) {
    if (block[i] != static_cast<char>(byte)) return false;
  }
  return true;
}

// The first of all constructors, before those of the libraries that are loaded after the program.
char* of_constructor;
[[gnu::constructor(101)]] void AllocateInConstructor() {
  of_constructor = Filled(std::malloc(100), 100, 1);
}

void BlocksFromBeforeMainGrowAndEnd() {
  Check(IsFull(of_constructor, 100, 1), "a block from before main() has its bytes");
  of_constructor = static_cast<char*>(std::realloc(of_constructor, 100'000));
  Check(IsFull(of_constructor, 100, 1), "realloc keeps the bytes of a block from before main()");
  std::free(of_constructor);
}

void CallocIsZeroAndSeesOverflow() {
  for (const size_t bytes : {24, 5000, 3 << 20}) {
    std::free(Filled(std::malloc(bytes), bytes, 0xFF));
    auto* const block = static_cast<char*>(std::calloc(bytes / 8, 8));
    Check(block != nullptr && IsFull(block, bytes / 8 * 8, 0), "calloc is zero");
    std::free(block);
  }
  volatile size_t many = SIZE_MAX / 8;
  errno = 0;
  Check(std::calloc(many, 16) == nullptr && errno == ENOMEM, "calloc sees an overflow");
  errno = 0;
  Check(reallocarray(nullptr, many, 16) == nullptr && errno == ENOMEM, "reallocarray, too");
}

void ReallocKeepsBytes() {
  auto* block = static_cast<char*>(std::realloc(nullptr, 10));
  Filled(block, 10, 7);
  for (const size_t bytes : {100, 70'000, 5 << 20, 200, 10}) {
    block = static_cast<char*>(std::realloc(block, bytes));
    Check(block != nullptr && IsFull(block, 10, 7), "realloc keeps the bytes");
  }
  std::free(block);
  std::free(nullptr);
}

void IsAligned(void* block, size_t alignment) {
  Check(block != nullptr, "an aligned block was allocated");
  Check(reinterpret_cast<uintptr_t>(block) % alignment == 0, "it is aligned");
  Filled(block, 300, 3);
  std::free(block);
}

void TheAlignedOnesAlign() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (size_t alignment = 16; alignment <= size_t{1} << 21; alignment *= 2) {
    IsAligned(memalign(alignment, 300), alignment);
    IsAligned(std::aligned_alloc(alignment, (300 + alignment) / alignment * alignment), alignment);
    void* block = nullptr;
    errno = 12345;
    Check(posix_memalign(&block, alignment, 300) == 0 && errno == 12345, "posix_memalign works");
    IsAligned(block, alignment);
  }
  void* untouched = &untouched;
  Check(posix_memalign(&untouched, 24, 8) == EINVAL && untouched == &untouched,
        "posix_memalign refuses what is no power of two");
  IsAligned(valloc(300), page);
  IsAligned(pvalloc(300), page);
}

void UsableBytesAreUsable() {
  Check(malloc_usable_size(nullptr) == 0, "nothing is usable of nothing");
  for (const size_t bytes : {1, 24, 1000, 100'000, 3 << 20}) {
    void* const block = std::malloc(bytes);
    const size_t usable = malloc_usable_size(block);
    Check(usable >= bytes, "at least what was asked for is usable");
    std::free(Filled(block, usable, 5));
  }
}

void SizeZeroAndTooMuch() {
  void* const one = std::malloc(0);
  void* const other = std::malloc(0);
  Check(one != nullptr && one != other, "blocks of no bytes are different ones");
  std::free(one);
  std::free(other);
  volatile size_t too_much = PTRDIFF_MAX;
  errno = 0;
  Check(std::malloc(too_much) == nullptr && errno == ENOMEM, "too much is refused");
}

void ThreadsFreeWhatOthersAllocated() {
  std::vector<char*> blocks(1000);
  for (int generation = 0; generation < 20; ++generation) {
    std::thread([&] {
      for (char*& block : blocks) {
        std::free(block);
        block = Filled(std::malloc(100), 100, generation);
      }
    }).join();
  }
  for (char* const block : blocks) {
    Check(IsFull(block, 100, 19), "blocks of a thread outlive it");
    std::free(block);
  }
}

// All that a child does with its parent's blocks, and with its own.
bool ChildIsRight(char* small, char* large, size_t large_bytes) {
  if (!IsFull(small, 100, 1) || !IsFull(large, large_bytes, 2)) return false;
  Filled(large, large_bytes, 9);
  small = static_cast<char*>(std::realloc(small, 5000));
  if (small == nullptr || !IsFull(small, 100, 1)) return false;
  large = static_cast<char*>(std::realloc(large, 50));
  if (large == nullptr || !IsFull(large, 50, 9)) return false;
  std::free(small);
  std::free(large);
  std::vector<std::string> own(1000, std::string(50, 'x'));
  return own.back().size() == 50;
}

void AChildHasItsParentsBlocks() {
  constexpr size_t kLargeBytes = 4 << 20;
  char* const small = Filled(std::malloc(100), 100, 1);
  char* const large = Filled(std::malloc(kLargeBytes), kLargeBytes, 2);
  char* const kept = Filled(std::malloc(100), 100, 3);
  for (int round = 0; round < 2; ++round) {  // the second after the heap has grown again
    const pid_t child = fork();
    if (child == 0) {
      const bool right = ChildIsRight(small, large, kLargeBytes);
      // A child may fork, too.
      const pid_t grandchild = fork();
      if (grandchild == 0) _exit(IsFull(kept, 100, 3) ? 0 : 1);
      int status = 1;
      waitpid(grandchild, &status, 0);
      _exit(right && status == 0 ? 0 : 1);
    }
    int status = 1;
    Check(waitpid(child, &status, 0) == child && status == 0, "a child has its parent's blocks");
    Check(IsFull(large, kLargeBytes, 2), "what a child writes its parent does not see");
    std::free(Filled(std::malloc(64 << 20), 64 << 20, 4));
  }
  std::free(small);
  std::free(large);
  std::free(kept);
}

void ProgramsAreStarted() {
  Check(std::system("exit 7") == 7 << 8, "system() runs a program");
  std::FILE* const pipe = popen("printf answer", "r");
  char answer[16] = {};
  Check(std::fread(answer, 1, sizeof answer, pipe) == 6, "popen() reads from a program");
  Check(pclose(pipe) == 0, "it ends well");
}

}  // namespace

int main() {
  BlocksFromBeforeMainGrowAndEnd();
  CallocIsZeroAndSeesOverflow();
  ReallocKeepsBytes();
  TheAlignedOnesAlign();
  UsableBytesAreUsable();
  SizeZeroAndTooMuch();
  ThreadsFreeWhatOthersAllocated();
  AChildHasItsParentsBlocks();
  ProgramsAreStarted();
  Dl_info who = {};
  Check(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &who) != 0, "somebody serves malloc");
  void* const block = std::malloc(100);
  std::printf("%s %lu\n", who.dli_fname, reinterpret_cast<uintptr_t>(block));
  std::free(block);
}
