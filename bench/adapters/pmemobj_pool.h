// What both ways to use libpmemobj share: a pool, and pointers into it.
#pragma once

#include <libpmemobj.h>
#include <unistd.h>

#include <string>

#include "bench/block.h"
#include "bench/place.h"

namespace bench {

class PmemobjPool {
 public:
  explicit PmemobjPool(const Place& place) {
    const std::string path = place.folder + "/pool";
    // A sparse file that is there already is not filled with zeros first.
    std::fclose(std::fopen(path.c_str(), "w"));
    if (truncate(path.c_str(), static_cast<off_t>(place.size_bytes)) != 0) Fail("truncate", "");
    pool_ = pmemobj_create(path.c_str(), "bench", 0, 0600);
    if (pool_ == nullptr) Fail("pmemobj_create", pmemobj_errormsg());
    // The first object tells the pool's id, which is part of every pointer.
    PMEMoid first;
    if (pmemobj_zalloc(pool_, &first, kDurableBytes, 0) != 0) Fail("alloc", pmemobj_errormsg());
    id_ = first.pool_uuid_lo;
  }
  ~PmemobjPool() { pmemobj_close(pool_); }
  PmemobjPool(const PmemobjPool&) = delete;
  PmemobjPool& operator=(const PmemobjPool&) = delete;

  static std::string Version() {
    return std::to_string(PMEMOBJ_MAJOR_VERSION) + "." + std::to_string(PMEMOBJ_MINOR_VERSION);
  }

  PMEMobjpool* get() const { return pool_; }
  uint64_t id() const { return id_; }

  /// Cheaper than pmemobj_direct() and pmemobj_oid(), which look the pool up.
  void* Address(PMEMoid oid) const {
    return OID_IS_NULL(oid) ? nullptr : reinterpret_cast<char*>(pool_) + oid.off;
  }
  PMEMoid Oid(const void* block) const {
    return {id_, static_cast<uint64_t>(static_cast<const char*>(block) -
                                       reinterpret_cast<const char*>(pool_))};
  }

  /// Empty slots, that stay until the pool goes.
  template <typename Slot>
  Slot* MakeSlots(size_t count) {
    PMEMoid slots;
    if (pmemobj_zalloc(pool_, &slots, count * sizeof(Slot), 0) != 0) {
      Fail("pmemobj_zalloc", pmemobj_errormsg());
    }
    return static_cast<Slot*>(Address(slots));
  }

 private:
  PMEMobjpool* pool_;
  uint64_t id_;
};

}  // namespace bench
