// For tests: memory for a heap, and what a heap says of itself.
#pragma once

#include <cstdint>
#include <string>

#include "alloc/heap/heap.h"
#include "os/testing/fixed_memory_testing.h"

namespace morsel::alloc {

/// Memory that a heap may live in.
class HeapMemory : public FixedMemory {
 public:
  using FixedMemory::FixedMemory;

  HeapPlace Place(uint64_t size_bytes) const {
    return {
        .base = base(), .size_bytes = size_bytes, .capacity_bytes = capacity_bytes(), .id = {7}};
  }
};

/// Whether the result holds `true`. As a condition, a Result that holds `false` is true, because it
/// holds something.
inline bool IsTrue(const Result<bool>& result) { return result && *result; }

/// The messages of Validate(), one on each line.
inline std::string Findings(Heap& heap) {
  std::string findings;
  heap.Validate([&](const std::string& message) { findings += message + "\n"; });
  return findings;
}

}  // namespace morsel::alloc
