// Blocks of one size class that a thread may hand out: it has reserved them, or
// freed them. Their bits are set, so that handing one out stores nothing on the
// medium. The layer of magazines is Bonwick's and Adams' (2001).
//
// First in, first out. A stack would hand out what is still in the processor's
// cache; but what was freed last would be handed out next, and each call would wait
// for the one before. Here malloc and free read and write different words.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "alloc/size_class.h"
#include "base/units.h"

namespace morsel::alloc {

/// Threads  one at a time.
class BlockQueue {
 public:
  /// Places that a class' queue has, a power of two. Of large blocks fewer: what is queued is room
  /// that nobody else gets.
  static constexpr uint64_t kPlacesMax = 64;
  static constexpr uint64_t Places(unsigned size_class) {
    constexpr uint64_t kBytesMax = 64 * kKiB;
    constexpr uint64_t kFew = 4;
    return std::bit_floor(
        std::clamp<uint64_t>(kBytesMax / BlockBytes(size_class), kFew, kPlacesMax));
  }
  /// Blocks of all classes together.
  static constexpr uint64_t BlocksMax() {
    uint64_t sum = 0;
    for (unsigned size_class = 0; size_class < kClassCount; ++size_class) {
      sum += Places(size_class);
    }
    return sum;
  }

  /// `places` are aligned to twice their size, so that one bit of a pointer tells their end.
  void Begin(void** places, uint64_t count) {
    places_ = filled_ = first_ = end_ = places;
    wrap_ = ~static_cast<uintptr_t>(count * sizeof(void*));
  }

  /// nullptr if it is empty.
  void* TryTake() {
    void** const place = first_;
    void* const block = *place;
    if (block == nullptr) return nullptr;
    *place = nullptr;
    first_ = After(place);
    return block;
  }
  bool HasRoom() const { return *end_ == nullptr; }
  /// HasRoom().
  void Give(void* block) {
    *end_ = block;
    end_ = After(end_);
  }

  /// Puts blocks into an empty queue, at its first place and behind; no more than it has places
  /// for.
  class Filling {
   public:
    explicit Filling(BlockQueue& queue) : queue_(queue), end_(queue.places_) {}
    /// So many, `bytes` apart.
    void Add(char* block, uint64_t bytes, int count) {
      void** end = end_;
      for (int i = 0; i < count; ++i, block += bytes) *end++ = block;
      end_ = end;
    }
    void End() {
      queue_.first_ = queue_.places_;
      queue_.filled_ = queue_.end_ = queue_.Wrapped(end_);
    }

   private:
    BlockQueue& queue_;
    void** end_;
  };
  /// Whether a block was given since it was filled.
  bool IsGiven() const { return end_ != filled_; }

  bool Has(const void* block) const {
    // What is not queued is null.
    return std::find(places_, places_ + Count(), block) != places_ + Count();
  }

 private:
  void** Wrapped(void** place) const {
    return reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(place) & wrap_);
  }
  uint64_t Count() const { return (~wrap_) / sizeof(void*); }
  void** After(void** place) const { return Wrapped(place + 1); }

  void** first_ = nullptr;  ///< blocks lie from there on; null where there is none
  void** end_ = nullptr;    ///< where the next one goes, if that is null
  uintptr_t wrap_ = 0;
  void** places_ = nullptr;
  void** filled_ = nullptr;  ///< the end, when it was
};

}  // namespace morsel::alloc
