// Memory that I/O may use directly.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "pmem/image/layout.h"

namespace morsel::pmem::image {

struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<char, FreeMemory>;

/// size_bytes, a multiple of a block, aligned to one.
/// Errors  null where there is no memory.
inline Buffer MakeBuffer(uint64_t size_bytes) {
  return Buffer(static_cast<char*>(std::aligned_alloc(kBlockBytes, size_bytes)));
}

}  // namespace morsel::pmem::image
