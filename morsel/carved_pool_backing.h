// The memory of one open morsel of a carved pool.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "morsel/carved_pool_medium.h"
#include "morsel/pool.h"
#include "pmem/address_range.h"

namespace morsel {

/// Threads  one call at a time on each; several of one pool at once.
class CarvedBacking : public Backing {
 public:
  /// Maps `subtrees`, all that the morsel of `record` has, and the process' page into `range`.
  /// slot: where the catalog has the morsel, or will have it.
  /// Errors  kNoMemory, kNoSpace, kIo.
  static Result<std::unique_ptr<CarvedBacking>> Map(CarvedMedium& medium, SlotIndex slot,
                                                    const Record& record, bool read_only,
                                                    pmem::AddressRange range,
                                                    const std::vector<SubtreeIndex>& subtrees);

  pmem::Persist persist() const override { return medium_.persist(); }
  uint32_t granularity_bytes() const override { return medium_.granularity_bytes(); }
  Status Resize(uint64_t size_bytes) override;
  Status Checkpoint(uint64_t live_bytes) override;
  Status Export(const pmem::Directory& to, const std::string& file_name) const override;

 private:
  CarvedBacking(CarvedMedium& medium, SlotIndex slot, const Record& record, bool read_only,
                pmem::AddressRange range);
  Status Grow(uint64_t size_bytes);
  Status Shrink(uint64_t size_bytes);

  CarvedMedium& medium_;
  SlotIndex slot_;
};

}  // namespace morsel
