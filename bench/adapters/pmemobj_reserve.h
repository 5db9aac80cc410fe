// libpmemobj's reservations, published sixteen at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "bench/adapters/pmemobj_pool.h"

namespace bench {

class Adapter {
 public:
  // What is reserved belongs to a thread until it is published.
  static constexpr bool kFreesFromAnyThread = false;
  static constexpr bool kDurable = true;
  // An offset, since an action sets one word. 0: empty.
  using Slot = uint64_t;

  explicit Adapter(const Place& place) : pool_(place) {}

  static std::string Version() { return PmemobjPool::Version(); }

  class Thread {
   public:
    explicit Thread(Adapter& adapter) : pool_(adapter.pool_) {}
    ~Thread() {
      PublishReserved();
      PublishFreed();
    }
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;

    void* Allocate(size_t size_bytes) {
      if (reserved_count_ == kTogether) PublishReserved();
      const PMEMoid oid = pmemobj_reserve(pool_.get(), &reserved_[reserved_count_], size_bytes, 0);
      void* const block = pool_.Address(oid);
      blocks_[reserved_count_++] = block;
      return block;
    }
    void Free(void* block) {
      // What is not published yet cannot be freed, only given back.
      void** const end = blocks_ + reserved_count_;
      if (void** const found = std::find(blocks_, end, block); found != end) {
        Cancel(static_cast<size_t>(found - blocks_));
        return;
      }
      if (freed_count_ == kTogether) PublishFreed();
      pmemobj_defer_free(pool_.get(), pool_.Oid(block), &freed_[freed_count_++]);
    }

    Slot* MakeSlots(size_t count) { return pool_.MakeSlots<Slot>(count); }

    void AllocateAndLink(Slot& slot) {
      pobj_action actions[2];
      Reserve(slot, actions);
      pmemobj_drain(pool_.get());
      Publish(actions, 2);
    }
    void AllocateAndLink(std::span<Slot*, kTogether> slots) {
      pobj_action actions[2 * kTogether];
      for (size_t i = 0; i < kTogether; ++i) Reserve(*slots[i], &actions[2 * i]);
      pmemobj_drain(pool_.get());
      Publish(actions, 2 * kTogether);
    }
    void UnlinkAndFree(Slot& slot) {
      pobj_action actions[2];
      DeferFree(slot, actions);
      Publish(actions, 2);
    }
    void UnlinkAndFree(std::span<Slot*, kTogether> slots) {
      pobj_action actions[2 * kTogether];
      for (size_t i = 0; i < kTogether; ++i) DeferFree(*slots[i], &actions[2 * i]);
      Publish(actions, 2 * kTogether);
    }

   private:
    void Reserve(Slot& slot, pobj_action* actions) {
      const PMEMoid oid = pmemobj_reserve(pool_.get(), &actions[0], kDurableBytes, 0);
      if (OID_IS_NULL(oid)) Fail("pmemobj_reserve", pmemobj_errormsg());
      void* const block = pool_.Address(oid);
      Fill(block, kDurableBytes, oid.off >> 6);
      pmemobj_flush(pool_.get(), block, kDurableBytes);
      pmemobj_set_value(pool_.get(), &actions[1], &slot, oid.off);
    }
    void DeferFree(Slot& slot, pobj_action* actions) {
      const PMEMoid oid = {pool_.id(), slot};
      pmemobj_defer_free(pool_.get(), oid, &actions[0]);
      pmemobj_set_value(pool_.get(), &actions[1], &slot, 0);
    }
    void Publish(pobj_action* actions, size_t count) {
      if (pmemobj_publish(pool_.get(), actions, count) != 0) {
        Fail("pmemobj_publish", pmemobj_errormsg());
      }
    }
    void PublishReserved() {
      if (reserved_count_ > 0) Publish(reserved_, reserved_count_);
      reserved_count_ = 0;
    }
    void PublishFreed() {
      if (freed_count_ > 0) Publish(freed_, freed_count_);
      freed_count_ = 0;
    }
    void Cancel(size_t index) {
      pmemobj_cancel(pool_.get(), &reserved_[index], 1);
      --reserved_count_;
      reserved_[index] = reserved_[reserved_count_];
      blocks_[index] = blocks_[reserved_count_];
    }

    PmemobjPool& pool_;
    size_t reserved_count_ = 0;
    size_t freed_count_ = 0;
    void* blocks_[kTogether];  // of reserved_
    pobj_action reserved_[kTogether];
    pobj_action freed_[kTogether];
  };

 private:
  PmemobjPool pool_;
};

}  // namespace bench
