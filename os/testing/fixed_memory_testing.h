// For tests: memory at the same address in every run, and whether the build is a slow one.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/bits.h"
#include "base/units.h"

namespace morsel {

/// Whether a sanitizer makes this build slow.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSlowBuild = true;
#else
inline constexpr bool kSlowBuild = false;
#endif

/// The address where tests may map memory: inside MORSEL_WINDOW, if that is set.
inline uint64_t TestBase() {
  const char* const window = std::getenv("MORSEL_WINDOW");
  const uint64_t begin =
      window != nullptr ? std::strtoull(window, nullptr, 0) : uint64_t{0x200000000000};
  return AlignUp(begin, kGiantBytes) + 4 * kGiantBytes;
}

/// Zeroed memory at a fixed address. Its pages are allocated as they are touched.
/// Ownership  unmapped with the object.
class FixedMemory {
 public:
  explicit FixedMemory(uint64_t capacity_bytes, uint64_t base = TestBase())
      : capacity_bytes_(capacity_bytes) {
    void* const memory =
        mmap(reinterpret_cast<void*>(base), capacity_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (memory == MAP_FAILED) {
      std::perror("mmap of the test's memory");
      std::abort();
    }
    base_ = static_cast<char*>(memory);
  }
  ~FixedMemory() { munmap(base_, capacity_bytes_); }
  FixedMemory(const FixedMemory&) = delete;
  FixedMemory& operator=(const FixedMemory&) = delete;

  char* base() const { return base_; }
  uint64_t capacity_bytes() const { return capacity_bytes_; }

 private:
  uint64_t capacity_bytes_;
  char* base_;
};

}  // namespace morsel
