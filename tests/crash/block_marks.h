// The last mark of the block at each address of a heap, in memory that a writer and a checker
// share.
#pragma once

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "alloc/heap/layout/size_class.h"

namespace morsel::crash {

/// A byte for each place at which a block may begin, 0 at first. It is part of a SharedFile, so
/// only touched pages take space.
/// Threads  any.
template <uint64_t kHeapBytes>
class BlockMarks {
 public:
  void Set(const void* base, const void* block, uint8_t mark) {
    std::atomic_ref(marks_[PlaceOf(base, block)]).store(mark);
  }
  uint8_t Get(const void* base, const void* block) {
    return std::atomic_ref(marks_[PlaceOf(base, block)]).load();
  }
  /// Sets all marks to 0. No other process or thread may use them meanwhile.
  void Clear() {
    if (madvise(marks_.data(), marks_.size(), MADV_REMOVE) == 0) return;
    marks_.fill(0);  // memory of a device cannot give pages back
  }

 private:
  static size_t PlaceOf(const void* base, const void* block) {
    return static_cast<size_t>(static_cast<const char*>(block) - static_cast<const char*>(base)) /
           alloc::kBlockBytesMin;
  }

  static constexpr size_t kPageBytes = 4096;
  alignas(kPageBytes) std::array<uint8_t, kHeapBytes / alloc::kBlockBytesMin> marks_;
};

}  // namespace morsel::crash
