// The memory of one open morsel of a carved pool.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "image/image_file.h"
#include "morsel/carved/carved_pool_medium.h"
#include "morsel/pool/pool.h"
#include "os/memory/address_range.h"

namespace morsel {

/// Threads  one call at a time on each; several of one pool at once.
class CarvedBacking : public Backing {
 public:
  /// Makes the morsel that `record` describes, in a free slot of the catalog, and maps it.
  /// medium  the caller holds its mutex.
  /// Durability  of what is in the medium's file, on return; after a crash before, there is nothing
  ///             of that name.
  /// Errors  kNoMemory, kNoSpace, kIo: nothing is claimed.
  static Result<std::unique_ptr<CarvedBacking>> Create(std::shared_ptr<CarvedMedium> medium,
                                                       const CatalogRecord& record,
                                                       pmem::AddressRange range,
                                                       const Formatter& format);

  /// Maps the morsel in `slot`, which `record` describes, and the process' page into `range`.
  /// medium  the caller holds its mutex.
  /// Errors  kCorrupt, kNoMemory, kNoSpace, kIo.
  static Result<std::unique_ptr<CarvedBacking>> Open(std::shared_ptr<CarvedMedium> medium,
                                                     SlotIndex slot, const CatalogRecord& record,
                                                     bool read_only, pmem::AddressRange range);

  pmem::Persist persist() const override { return medium_->persist(); }
  uint32_t granularity_bytes() const override { return medium_->granularity_bytes(); }
  Status Resize(uint64_t size_bytes) override;
  Status Checkpoint(uint64_t live_bytes) override;
  Status Export(const pmem::Directory& to, const std::string& file_name,
                const ExportOptions& options) override;

 private:
  CarvedBacking(std::shared_ptr<CarvedMedium> medium, SlotIndex slot, const CatalogRecord& record,
                bool read_only, pmem::AddressRange range);
  std::string Label() const;
  Status Map(const std::vector<SubtreeIndex>& subtrees);
  Status Grow(uint64_t size_bytes, std::unique_lock<Mutex>& held);
  Status Shrink(uint64_t size_bytes);
  Result<std::vector<pmem::ByteRange>> BadRanges() const;

  std::shared_ptr<CarvedMedium> medium_;
  SlotIndex slot_;
};

/// Fills the memory of a morsel that is to be, size_bytes of zeros, with what `image` has.
/// Durability  flushed: the metadata's Create() fences.
/// Errors      kCorrupt; kBusy: somebody writes the image; kIo; kNoMemory.
Status FillFromImage(char* memory, uint64_t size_bytes, const pmem::image::ImageFile& image,
                     pmem::Persist persist);

}  // namespace morsel
