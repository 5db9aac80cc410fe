// Blocks of one size class that a thread has at hand: a magazine from which it hands
// them out, and one into which it puts what it frees. Their bits are set, so that
// handing one out stores nothing on the medium. Magazines are Bonwick's and Adams'
// (2001).
//
// The two change places when the first is empty. One magazine would hand out next
// what was freed last, and each call would wait for the one before: here malloc and
// free read and write different words.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "alloc/heap/layout/size_class.h"
#include "base/units.h"

namespace morsel::alloc {

/// Threads  one at a time.
class Magazines {
 public:
  /// Blocks that each of a class' two magazines holds. Of large ones fewer: what is at hand is room
  /// that nobody else gets.
  static constexpr uint64_t kPlacesMax = 64;
  static constexpr uint64_t Places(unsigned size_class) {
    const uint64_t bytes = BlockBytes(size_class);
    const uint64_t bytes_max = bytes <= kSmallBytesMax ? 32 * kKiB : 16 * kKiB;
    return std::clamp<uint64_t>(bytes_max / bytes, 1, kPlacesMax);
  }
  /// Words that the class' two magazines take.
  static constexpr uint64_t Words(unsigned size_class) { return 2 * (Places(size_class) + 1); }
  /// Blocks of all classes together.
  static constexpr uint64_t BlocksMax() {
    uint64_t sum = 0;
    for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
      sum += 2 * Places(size_class);
    }
    return sum;
  }

  /// In zeroed memory of Words().
  void Begin(void** words, unsigned size_class) {
    const uint64_t places = Places(size_class);
    ready_ = ready_begin_ = words;
    freed_ = freed_begin_ = words + places + 1;
    freed_end_ = freed_ + places;
  }

  /// nullptr if none is ready.
  void* TryTake() {
    void** const top = ready_;
    void* const block = *top;
    if (block == nullptr) return nullptr;
    ready_ = top - 1;
    return block;
  }
  /// False if there is no room for it, or it was given last.
  bool TryGive(void* block) {
    void** const top = freed_;
    if (top == freed_end_ || *top == block) return false;
    top[1] = block;
    freed_ = top + 1;
    return true;
  }

  bool WasGivenLast(const void* block) const { return *freed_ == block; }
  uint64_t FreedCount() const { return static_cast<uint64_t>(freed_ - freed_begin_); }
  uint64_t places() const { return static_cast<uint64_t>(freed_end_ - freed_begin_); }

  /// What was freed is ready. Nothing is ready before.
  void Exchange() {
    const uint64_t count = places();
    ready_ = freed_;
    std::swap(ready_begin_, freed_begin_);
    freed_ = freed_begin_;
    freed_end_ = freed_ + count;
  }

  /// Makes blocks ready, no more than a magazine has places for, to be handed out in the order in
  /// which they are added. Nothing is ready before.
  class Filling {
   public:
    explicit Filling(Magazines& magazines)
        : magazines_(magazines), top_(magazines.ready_begin_ + magazines.places()), end_(top_) {}
    /// So many, `bytes` apart.
    void Add(char* block, uint64_t bytes, int count) {
      void** end = end_;
      for (; count >= 4; count -= 4, end -= 4, block += 4 * bytes) {
        end[0] = block;
        end[-1] = block + bytes;
        end[-2] = block + 2 * bytes;
        end[-3] = block + 3 * bytes;
      }
      for (; count > 0; --count, block += bytes) *end-- = block;
      end_ = end;
    }
    void End() {
      *end_ = nullptr;
      magazines_.ready_ = top_;
    }

   private:
    Magazines& magazines_;
    void** top_;
    void** end_;
  };

 private:
  // Each magazine begins with a null, so that one look tells whether it is empty.
  void** ready_ = nullptr;      ///< the next one to be handed out; null where there is none
  void** freed_ = nullptr;      ///< what was freed last, or the null
  void** freed_end_ = nullptr;  ///< its last place
  void** ready_begin_ = nullptr;
  void** freed_begin_ = nullptr;
};

}  // namespace morsel::alloc
