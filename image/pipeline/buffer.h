// Memory that I/O may use directly.
//
// Each buffer is a mapping of its own and not a block of the C heap. In the heap, a small block
// that stays could be put where a buffer was; the next buffer would no longer fit there, and the
// heap would grow with each checkpoint.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "image/format/layout.h"

namespace morsel::image {

/// The size of all buffers that exist, together.
inline std::atomic<uint64_t> buffer_bytes{0};

/// Behind each buffer lies memory that cannot be touched, so that an access beyond its end faults.
inline constexpr uint64_t kGuardBytes = kBlockBytes;

/// Unmaps a buffer and what lies behind it.
struct FreeMemory {
  uint64_t size_bytes = 0;
  void operator()(char* memory) const {
    munmap(memory, size_bytes + kGuardBytes);
    buffer_bytes -= size_bytes;
  }
};
using Buffer = std::unique_ptr<char, FreeMemory>;

/// Returns size_bytes of zeroed memory, aligned to a block. size_bytes is a multiple of a block.
/// Errors   nullptr: there is no memory.
/// Threads  any.
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

}  // namespace morsel::image
