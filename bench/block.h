// What all workloads do with a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bench/place.h"

namespace bench {

/// The first touch of a block, as every program makes one; the compiler must not see that nobody
/// reads it.
inline void Touch(void* block, uint64_t value) {
  if (block == nullptr) Fail("allocating a block", "out of memory");
  *static_cast<volatile uint64_t*>(block) = value;
}

/// All of a block that is to be made durable.
inline void Fill(void* block, size_t size_bytes, uint64_t value) {
  std::memset(block, static_cast<int>(value & 0xFF), size_bytes);
  asm volatile("" : : "r"(block) : "memory");
}

/// What durable workloads allocate.
inline constexpr size_t kDurableBytes = 64;
/// How many are made durable together where a workload says so.
inline constexpr size_t kTogether = 16;

}  // namespace bench
