// libpmemobj's atomic allocations: what the durable workloads are compared with.
#pragma once

#include <span>
#include <string>

#include "bench/adapters/pmemobj_pool.h"

namespace bench {

class Adapter {
 public:
  static constexpr bool kFreesFromAnyThread = true;
  static constexpr bool kDurable = true;
  using Slot = PMEMoid;

  explicit Adapter(const Place& place) : pool_(place) {}

  static std::string Version() { return PmemobjPool::Version(); }

  class Thread {
   public:
    explicit Thread(Adapter& adapter) : pool_(adapter.pool_) {}

    void* Allocate(size_t size_bytes) {
      PMEMoid oid = OID_NULL;
      (void)pmemobj_alloc(pool_.get(), &oid, size_bytes, 0, nullptr, nullptr);
      return pool_.Address(oid);
    }
    void Free(void* block) {
      PMEMoid oid = pool_.Oid(block);
      pmemobj_free(&oid);
    }

    Slot* MakeSlots(size_t count) { return pool_.MakeSlots<Slot>(count); }

    void AllocateAndLink(Slot& slot) {
      if (pmemobj_alloc(pool_.get(), &slot, kDurableBytes, 0, &Construct, nullptr) != 0) {
        Fail("pmemobj_alloc", pmemobj_errormsg());
      }
    }
    void UnlinkAndFree(Slot& slot) { pmemobj_free(&slot); }

    // It has no way to do several at once.
    void AllocateAndLink(std::span<Slot*, kTogether> slots) {
      for (Slot* const slot : slots) AllocateAndLink(*slot);
    }
    void UnlinkAndFree(std::span<Slot*, kTogether> slots) {
      for (Slot* const slot : slots) UnlinkAndFree(*slot);
    }

   private:
    // What is flushed here is fenced before the allocation takes effect.
    static int Construct(PMEMobjpool* pool, void* block, void*) {
      Fill(block, kDurableBytes, reinterpret_cast<uint64_t>(block) >> 6);
      pmemobj_flush(pool, block, kDurableBytes);
      return 0;
    }

    PmemobjPool& pool_;
  };

 private:
  PmemobjPool pool_;
};

}  // namespace bench
