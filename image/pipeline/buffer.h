// Memory that I/O may use directly.
//
// Not the C heap's: what is small and stays would settle where a buffer was, the next one would not
// fit there again, and the heap would grow with each checkpoint.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "image/format/layout.h"

namespace morsel::pmem::image {

/// What the buffers that are there take together.
inline std::atomic<uint64_t> buffer_bytes{0};

/// Behind each: whoever writes on meets it.
inline constexpr uint64_t kGuardBytes = kBlockBytes;

struct FreeMemory {
  uint64_t size_bytes = 0;
  void operator()(char* memory) const {
    munmap(memory, size_bytes + kGuardBytes);
    buffer_bytes -= size_bytes;
  }
};
using Buffer = std::unique_ptr<char, FreeMemory>;

/// size_bytes, a multiple of a block, aligned to one.
/// Errors  null where there is no memory.
inline Buffer MakeBuffer(uint64_t size_bytes) {
  const uint64_t mapped_bytes = size_bytes + kGuardBytes;
  void* const memory = mmap(nullptr, mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (mprotect(memory, size_bytes, PROT_READ | PROT_WRITE) != 0) {
    munmap(memory, mapped_bytes);
    return nullptr;
  }
  buffer_bytes += size_bytes;
  return Buffer(static_cast<char*>(memory), FreeMemory{size_bytes});
}

}  // namespace morsel::pmem::image
