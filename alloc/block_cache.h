// Blocks that a thread has freed and will hand out again, by size class. Their
// bits stay set: to allocate one of them stores nothing on the medium. The layer
// of magazines is Bonwick's and Adams' (2001).
//
// First in, first out. A stack would hand out what is still in the processor's
// cache; but its one count would be read and written by each call, and each would
// wait for the one before. Here malloc and free write different words.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "alloc/size_class.h"

namespace morsel::alloc {

/// Threads  one at a time.
class BlockCache {
 public:
  static constexpr uint32_t kBlocksMax = 64;         ///< of a class
  /// Of large blocks fewer: what is cached is room that nobody else gets.
  static constexpr uint64_t kBytesMax = 64 * kKiB;
  static constexpr uint64_t kFew = 2;

  BlockCache() {
    for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
      queues_[size_class].blocks_max = BlocksMax(size_class);
    }
  }

  bool MayTake(unsigned size_class) const {
    return queues_[size_class].first != queues_[size_class].end;
  }
  /// MayTake().
  void* Take(unsigned size_class) {
    return blocks_[size_class][queues_[size_class].first++ % kBlocksMax];
  }

  bool HasRoom(unsigned size_class) const {
    const Queue& queue = queues_[size_class];
    return queue.end - queue.first < queue.blocks_max;
  }
  /// HasRoom().
  void Give(unsigned size_class, void* block) {
    blocks_[size_class][queues_[size_class].end++ % kBlocksMax] = block;
  }

  bool Has(unsigned size_class, const void* block) const {
    const Queue& queue = queues_[size_class];
    for (uint32_t i = queue.first; i != queue.end; ++i) {
      if (blocks_[size_class][i % kBlocksMax] == block) return true;
    }
    return false;
  }

  static constexpr uint32_t BlocksMax(unsigned size_class) {
    return static_cast<uint32_t>(std::clamp<uint64_t>(kBytesMax / BlockBytes(size_class), kFew,
                                                      kBlocksMax));
  }
  /// Of all classes together.
  static constexpr uint64_t BlocksMax() {
    uint64_t sum = 0;
    for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
      sum += BlocksMax(size_class);
    }
    return sum;
  }

 private:
  /// Blocks have consecutive numbers: first, first + 1, .. end - 1.
  struct Queue {
    uint32_t first = 0;
    uint32_t end = 0;
    uint32_t blocks_max = 0;
    uint32_t unused = 0;  ///< a size that is a power of two is found by a shift
  };

  std::array<Queue, kClassCount> queues_;
  std::array<std::array<void*, kBlocksMax>, kClassCount> blocks_;
};

}  // namespace morsel::alloc
