#include "os/testing/allocations_testing.h"

#include <unistd.h>

#include <cstdlib>
#include <new>

namespace morsel::os {

constinit std::atomic<long> allocations_left = -1;
constinit std::atomic<long> allocations_elsewhere = 0;

}  // namespace morsel::os

// Not inlined: compilers would take the pair for a mistake.
[[gnu::noinline]] void* operator new(size_t size_bytes) {
  using morsel::os::allocations_left;
  if (gettid() != getpid()) ++morsel::os::allocations_elsewhere;
  if (allocations_left == 0) throw std::bad_alloc();
  if (allocations_left > 0) --allocations_left;
  void* const memory = std::malloc(size_bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
