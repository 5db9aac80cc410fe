// The memory of one open fine morsel: an address range with subtrees of the medium mapped in it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "morsel/carved/carved_pool_medium.h"
#include "morsel/pool/pool.h"
#include "os/memory/address_range.h"

namespace morsel {

/// Threads  one call at a time on each backing. Several backings of a pool may be called at once.
class CarvedBacking : public Backing {
 public:
  /// Makes the morsel that `record` describes, in a free slot of the catalog, and maps it.
  /// held        the medium's mutex: it is released while zeros are written.
  /// Durability  the bytes in the medium's file are durable on return; after a crash before that,
  ///             there is nothing of that name. The caller syncs the file's own name.
  /// Errors      kNoMemory, kNoSpace, kCorrupt, kIo: nothing is claimed.
  static Result<std::unique_ptr<CarvedBacking>> Create(std::shared_ptr<CarvedMedium> medium,
                                                       const CatalogRecord& record,
                                                       os::AddressRange range,
                                                       const Formatter& format,
                                                       std::unique_lock<Mutex>& held);

  /// Opens the morsel in `slot`, which `record` describes: maps its subtrees and the process' page
  /// into `range`.
  /// medium  the caller holds its mutex.
  /// Errors  kCorrupt, kNoMemory, kNoSpace, kIo.
  static Result<std::unique_ptr<CarvedBacking>> Open(std::shared_ptr<CarvedMedium> medium,
                                                     SlotIndex slot, const CatalogRecord& record,
                                                     bool read_only, os::AddressRange range);

  /// The subtrees that are mapped, if the morsel is open for reading.
  const std::vector<SubtreeIndex>& mapped() const { return mapped_; }
  pmem::Persist persist() const override { return medium_->persist(); }
  uint32_t granularity_bytes() const override { return medium_->granularity_bytes(); }
  Status Resize(uint64_t size_bytes) override;
  using Backing::Checkpoint;
  Status Checkpoint(uint64_t live_bytes, const Copied& copied) override;
  Status Export(const os::Directory& to, const std::string& file_name,
                const ExportRequest& options) override;

 private:
  CarvedBacking(std::shared_ptr<CarvedMedium> medium, SlotIndex slot, const CatalogRecord& record,
                bool read_only, os::AddressRange range);
  std::string Label() const;
  Status Map(const std::vector<SubtreeIndex>& subtrees);
  Status Grow(uint64_t size_bytes, std::unique_lock<Mutex>& held);
  Status Shrink(uint64_t size_bytes);
  Result<std::vector<SubtreeIndex>> Subtrees() const;
  Result<std::vector<pmem::ByteRange>> BadRanges() const;

  std::shared_ptr<CarvedMedium> medium_;
  SlotIndex slot_;
  std::vector<SubtreeIndex> mapped_;  ///< open for reading: its subtrees when it was opened
};

/// Fills the zeroed memory of a morsel that is about to be made.
using FillMemory = std::function<Status(char* memory)>;

/// Has `fill` fill the memory, size_bytes long, of a morsel that is about to be made.
/// Durability  the bytes are flushed; the metadata's Create() fences them.
/// Errors      those of `fill`.
Status FillDurably(char* memory, uint64_t size_bytes, const FillMemory& fill,
                   pmem::Persist persist);

}  // namespace morsel
