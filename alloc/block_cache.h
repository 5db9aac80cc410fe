// Blocks of one size class that a thread has freed and will hand out again. Their
// bits stay set: to allocate one of them stores nothing on the medium.
//
// Two stacks, one that is taken from and one that is given to, which change places
// when the first is empty and the second full: a block is not taken as soon as it
// is given, so that the loads of the one do not wait for the stores of the other. The layer of magazines
// is Bonwick's and Adams' (2001).
#pragma once

#include <array>
#include <cstdint>
#include <utility>

namespace morsel::alloc {

/// Threads  one at a time.
class BlockCache {
 public:
  static constexpr uint32_t kBlocksMax = 32;  ///< in each stack

  /// So many at most, 1 .. kBlocksMax; nothing has been given yet.
  void set_blocks_max(uint16_t blocks_max) { blocks_max_ = blocks_max; }

  bool MayTake() const { return take_count_ != 0; }
  void* Take() { return take_[--take_count_]; }

  bool MayGive() const { return give_count_ < blocks_max_; }
  void Give(void* block) { give_[give_count_++] = block; }

  /// What was given is to be taken. MayTake() was false.
  void Swap() {
    std::swap(take_, give_);
    take_count_ = std::exchange(give_count_, uint16_t{0});
  }

  bool Has(const void* block) const {
    for (uint32_t i = 0; i < take_count_; ++i) {
      if (take_[i] == block) return true;
    }
    for (uint32_t i = 0; i < give_count_; ++i) {
      if (give_[i] == block) return true;
    }
    return false;
  }

  /// Any of them, or nullptr when there are no more.
  void* TakeAny() {
    if (take_count_ == 0) Swap();
    return take_count_ == 0 ? nullptr : Take();
  }

 private:
  using Stack = std::array<void*, kBlocksMax>;
  void** take_ = stacks_[0].data();
  void** give_ = stacks_[1].data();
  uint32_t take_count_ = 0;
  uint16_t give_count_ = 0;
  uint16_t blocks_max_ = kBlocksMax;
  std::array<Stack, 2> stacks_;
};

}  // namespace morsel::alloc
