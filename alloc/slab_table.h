// From an address to its slab: a word for each unit of the range, in memory that
// is taken as it is touched.
#pragma once

#include <atomic>
#include <cstdint>

#include "alloc/run.h"
#include "base/result.h"

namespace morsel::alloc {

/// Threads  At() any; Enter() and Forget() one at a time.
class SlabTable {
 public:
  SlabTable() = default;
  ~SlabTable();
  SlabTable(const SlabTable&) = delete;
  SlabTable& operator=(const SlabTable&) = delete;

  /// For `capacity_bytes` from `base` on. Errors  kNoMemory.
  Status Reserve(const void* base, uint64_t capacity_bytes);

  /// The slab that covers the address, if it has been taken up. Any address may be asked for.
  Run* At(const void* address) const {
    const uint64_t unit = (reinterpret_cast<uint64_t>(address) - base_) / kUnitBytes;
    return unit < unit_count_ ? slabs_[unit].load(std::memory_order_acquire) : nullptr;
  }

  void Enter(Run* run) { Fill(*run, run); }
  void Forget(const Run& run) { Fill(run, nullptr); }

 private:
  void Fill(const Run& run, Run* value);

  uint64_t base_ = 0;
  uint64_t unit_count_ = 0;
  std::atomic<Run*>* slabs_ = nullptr;
};

}  // namespace morsel::alloc
