// This library: a fine morsel in a carved pool, through the C API.
#pragma once

#include <span>
#include <string>

#include "bench/adapters/opened_morsel.h"
#include "bench/block.h"
#include "bench/place.h"
#include "morsel/morsel.h"

namespace bench {

class Adapter {
 public:
  static constexpr bool kFreesFromAnyThread = true;
  static constexpr bool kDurable = true;
  using Slot = void*;

  explicit Adapter(const Place& place) : opened_(place, PoolOptions(place), Options()) {}

  static std::string Version() { return ""; }  // the commit says it

  void StartTaking() {}
  /// Subtrees that no other morsel can have.
  uint64_t TakenBytes() const { return morsel_size(opened_.get()); }

  class Thread : public MorselThread {
   public:
    explicit Thread(Adapter& adapter) : MorselThread(adapter.opened_) {}

    /// Empty ones, that stay until the heap goes.
    Slot* MakeSlots(size_t count) {
      auto* const slots = static_cast<Slot*>(morsel_calloc(morsel(), count, sizeof(Slot)));
      Touch(slots, 0);
      Must(morsel_persist(morsel(), slots, count * sizeof(Slot)));
      return slots;
    }

    void AllocateAndLink(Slot& slot) {
      void* const block = Filled();
      (void)morsel_persist(morsel(), block, kDurableBytes);
      slot = block;
      (void)morsel_persist(morsel(), &slot, sizeof slot);
    }
    void AllocateAndLink(std::span<Slot*, kTogether> slots) {
      void* blocks[kTogether];
      for (void*& block : blocks) {
        block = Filled();
        (void)morsel_flush(morsel(), block, kDurableBytes);
      }
      (void)morsel_fence(morsel());
      for (size_t i = 0; i < kTogether; ++i) Set(*slots[i], blocks[i]);
      (void)morsel_fence(morsel());
    }
    void UnlinkAndFree(Slot& slot) {
      void* const block = slot;
      slot = nullptr;
      (void)morsel_persist(morsel(), &slot, sizeof slot);
      Free(block);
    }
    void UnlinkAndFree(std::span<Slot*, kTogether> slots) {
      void* blocks[kTogether];
      for (size_t i = 0; i < kTogether; ++i) {
        blocks[i] = *slots[i];
        Set(*slots[i], nullptr);
      }
      (void)morsel_fence(morsel());
      for (void* const block : blocks) Free(block);
    }

   private:
    void* Filled() {
      void* const block = Allocate(kDurableBytes);
      if (block == nullptr) Fail("allocating a block", morsel_last_error());
      Fill(block, kDurableBytes, reinterpret_cast<uint64_t>(block) >> 6);
      return block;
    }
    void Set(Slot& slot, void* block) {
      slot = block;
      (void)morsel_flush(morsel(), &slot, sizeof slot);
    }
  };

 private:
  static morsel_pool_options PoolOptions(const Place& place) {
    morsel_pool_options options = {};
    options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_CARVED;
    options.size_bytes = place.size_bytes;
    return options;
  }
  static morsel_options Options() {
    morsel_options options = {};
    options.flags = MORSEL_CREATE | MORSEL_FINE;
    return options;
  }

  OpenedMorsel opened_;
};

}  // namespace bench
