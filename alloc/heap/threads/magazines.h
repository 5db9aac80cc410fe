// The blocks of one size class that a thread has at hand, in two magazines: it hands out
// blocks from one, and puts the blocks that it frees into the other. The bits of all of
// them are set, so that handing one out stores nothing on the medium. Magazines were
// invented by Bonwick and Adams (2001).
//
// The two magazines are exchanged when the first is empty. A single one would hand out
// the block that was freed last, and each call would wait for the stores of the call
// before. With two, malloc and free read and write different words.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "alloc/heap/layout/size_class.h"
#include "base/units.h"

namespace morsel::alloc {

/// The magazine that blocks of a class are handed out from. It stands apart, where malloc() finds
/// it by the class alone.
/// Threads  one at a time.
struct ReadyBlocks {
  /// What is below the first block of every magazine, and all that is in one without memory.
  static inline constinit void* no_block = nullptr;

  void** top = &no_block;  ///< where the next block to hand out is, or a null word

  /// Hands out a block, or returns nullptr if none is ready.
  void* TryTake() {
    void** const now = top;
    void* const block = *now;
    if (block == nullptr) return nullptr;
    top = now - 1;
    return block;
  }
};

/// Threads  one at a time.
class Magazines {
 public:
  /// How many blocks each of a class' two magazines holds. Magazines of large blocks hold fewer,
  /// because nobody else can use what they hold.
  static constexpr uint64_t kPlacesMax = 64;
  static constexpr uint64_t Places(unsigned size_class) {
    const uint64_t bytes = BlockBytes(size_class);
    const uint64_t bytes_max = bytes <= kSmallBytesMax ? 32 * kKiB : 16 * kKiB;
    return std::clamp<uint64_t>(bytes_max / bytes, 1, kPlacesMax);
  }
  /// How many words of memory the class' two magazines take.
  static constexpr uint64_t Words(unsigned size_class) { return 2 * (Places(size_class) + 1); }
  /// How many blocks the magazines of all classes hold together.
  static constexpr uint64_t BlocksMax() {
    uint64_t sum = 0;
    for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
      sum += 2 * Places(size_class);
    }
    return sum;
  }

  /// Makes both magazines, empty.
  /// Ownership  `words` are Words(size_class) zeroed words; the caller keeps them, and `ready`, as
  ///            long as this.
  Magazines(ReadyBlocks& ready, void** words, unsigned size_class)
      : freed_(words + Places(size_class) + 1),
        freed_end_(freed_ + Places(size_class)),
        block_bytes_(static_cast<int64_t>(BlockBytes(size_class))),
        ready_(&ready),
        ready_begin_(words),
        freed_begin_(freed_) {
    ready.top = words;
  }

  /// Hands out a block, or returns nullptr if none is ready.
  void* TryTake() { return ready_->TryTake(); }
  /// Puts in a block that was freed. Returns false and does nothing if there is no room for it, or
  /// if it was put in last, so that it is freed twice.
  bool TryGive(void* block) {
    void** const top = freed_;
    if (top == freed_end_ || *top == block) return false;
    top[1] = block;
    freed_ = top + 1;
    return true;
  }

  /// Whether the block is the one that was put in last.
  bool WasGivenLast(const void* block) const { return *freed_ == block; }
  /// Whether one of the two holds the block.
  bool Has(const void* block) const {
    for (void** const top : {ready_->top, freed_}) {
      for (void** at = top; *at != nullptr; --at) {
        if (*at == block) return true;
      }
    }
    return false;
  }
  uint64_t FreedCount() const { return static_cast<uint64_t>(freed_ - freed_begin_); }
  /// The size of the class' blocks. It is here as well, because free() has this object at hand.
  int64_t block_bytes() const { return block_bytes_; }
  uint64_t places() const { return static_cast<uint64_t>(freed_end_ - freed_begin_); }

  /// Makes the blocks ready that were freed. No block may be ready before.
  void Exchange() {
    const uint64_t count = places();
    ready_->top = freed_;
    std::swap(ready_begin_, freed_begin_);
    freed_ = freed_begin_;
    freed_end_ = freed_ + count;
  }

  /// Makes blocks ready, at most as many as a magazine has places. They are handed out in the order
  /// in which they are added. No block may be ready before.
  class Filling {
   public:
    explicit Filling(Magazines& magazines)
        : magazines_(magazines), top_(magazines.ready_begin_ + magazines.places()), end_(top_) {}
    /// Adds `count` blocks that lie `bytes` apart, from `block` on.
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
    /// Makes the added blocks ready. Call it once, last.
    void End() {
      *end_ = nullptr;
      magazines_.ready_->top = top_;
    }

   private:
    Magazines& magazines_;
    void** top_;
    void** end_;
  };

 private:
  // Each magazine begins with a null word, so that one load tells whether it is empty.
  void** freed_;      ///< where the block that was freed last is, or the null word
  void** freed_end_;  ///< the last place for freed blocks
  int64_t block_bytes_;
  ReadyBlocks* ready_;
  void** ready_begin_;  ///< the null word
  void** freed_begin_;  ///< the null word
};

}  // namespace morsel::alloc
