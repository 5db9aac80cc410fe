// What a program asks of a heap's blocks. A heap answers by itself; a guard stands in
// front of it (guarded_blocks.h).
#pragma once

#include <cstdint>

#include "base/result.h"

namespace morsel::alloc {

/// The functions do what those of Heap with the same names do.
/// Threads  any; they are called without the heap's lock.
class BlockCalls {
 public:
  BlockCalls() = default;
  virtual ~BlockCalls() = default;
  BlockCalls(const BlockCalls&) = delete;
  BlockCalls& operator=(const BlockCalls&) = delete;

  virtual Result<void*> Allocate(uint64_t size_bytes, uint64_t alignment) = 0;
  virtual Result<void*> AllocateZeroed(uint64_t size_bytes) = 0;
  virtual void Free(void* block) = 0;
  virtual Result<void*> Reallocate(void* block, uint64_t size_bytes) = 0;
  /// `call` is what a message says was tried, where the process ends.
  virtual uint64_t UsableBytes(const void* block, const char* call) = 0;
  /// `must_begin`: whether a live block begins there; if not, whether one covers the address.
  virtual Result<bool> IsLive(const void* address, bool must_begin) = 0;

  /// No block may have more bytes.
  virtual uint64_t BytesMax() const = 0;
  /// How many bytes of blocks that the program has freed may be kept for a while.
  virtual uint64_t KeptBytesMax() const = 0;
  /// Frees what the program has freed and was kept.
  virtual void ReleaseKept() = 0;
};

}  // namespace morsel::alloc
