// This library: a fine morsel in a carved pool, through the C API.
#pragma once

#include <span>
#include <string>

#include "bench/block.h"
#include "bench/place.h"
#include "morsel/morsel.h"

namespace bench {

class Adapter {
 public:
  static constexpr bool kFreesFromAnyThread = true;
  static constexpr bool kDurable = true;
  using Slot = void*;

  explicit Adapter(const Place& place) {
    morsel_pool_options pool_options = {};
    pool_options.flags = MORSEL_CREATE | MORSEL_EXCLUSIVE | MORSEL_CARVED;
    pool_options.size_bytes = place.size_bytes;
    Must(morsel_pool_open((place.folder + "/pool").c_str(), &pool_options, &pool_));
    morsel_options options = {};
    options.flags = MORSEL_CREATE | MORSEL_FINE;
    Must(morsel_open(pool_, "heap", &options, &morsel_));
  }
  ~Adapter() {
    Must(morsel_close(morsel_));
    Must(morsel_pool_close(pool_));
  }
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;

  static std::string Version() { return ""; }  // the commit says it

  void StartTaking() {}
  /// Subtrees that no other morsel can have.
  uint64_t TakenBytes() const { return morsel_size(morsel_); }

  class Thread {
   public:
    explicit Thread(Adapter& adapter) : morsel_(adapter.morsel_) {}

    void* Allocate(size_t size_bytes) { return morsel_malloc(morsel_, size_bytes); }
    void Free(void* block) { morsel_free(morsel_, block); }

    /// Empty ones, that stay until the heap goes.
    Slot* MakeSlots(size_t count) {
      auto* const slots = static_cast<Slot*>(morsel_calloc(morsel_, count, sizeof(Slot)));
      Touch(slots, 0);
      Must(morsel_persist(morsel_, slots, count * sizeof(Slot)));
      return slots;
    }

    void AllocateAndLink(Slot& slot) {
      void* const block = Filled();
      (void)morsel_persist(morsel_, block, kDurableBytes);
      slot = block;
      (void)morsel_persist(morsel_, &slot, sizeof slot);
    }
    void AllocateAndLink(std::span<Slot*, kTogether> slots) {
      void* blocks[kTogether];
      for (void*& block : blocks) {
        block = Filled();
        (void)morsel_flush(morsel_, block, kDurableBytes);
      }
      (void)morsel_fence(morsel_);
      for (size_t i = 0; i < kTogether; ++i) Set(*slots[i], blocks[i]);
      (void)morsel_fence(morsel_);
    }
    void UnlinkAndFree(Slot& slot) {
      void* const block = slot;
      slot = nullptr;
      (void)morsel_persist(morsel_, &slot, sizeof slot);
      morsel_free(morsel_, block);
    }
    void UnlinkAndFree(std::span<Slot*, kTogether> slots) {
      void* blocks[kTogether];
      for (size_t i = 0; i < kTogether; ++i) {
        blocks[i] = *slots[i];
        Set(*slots[i], nullptr);
      }
      (void)morsel_fence(morsel_);
      for (void* const block : blocks) morsel_free(morsel_, block);
    }

   private:
    void* Filled() {
      void* const block = morsel_malloc(morsel_, kDurableBytes);
      if (block == nullptr) Fail("allocating a block", morsel_last_error());
      Fill(block, kDurableBytes, reinterpret_cast<uint64_t>(block) >> 6);
      return block;
    }
    void Set(Slot& slot, void* block) {
      slot = block;
      (void)morsel_flush(morsel_, &slot, sizeof slot);
    }

    morsel_t* morsel_;
  };

 private:
  static void Must(morsel_code code) {
    if (code != MORSEL_OK) Fail(morsel_code_name(code), morsel_last_error());
  }

  morsel_pool_t* pool_ = nullptr;
  morsel_t* morsel_ = nullptr;
};

}  // namespace bench
