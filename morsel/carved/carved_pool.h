// A carved pool: a regular file on persistent memory, or a device-dax device, cut into subtrees. It
// holds fine morsels, whose memory is the medium itself, mapped.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "morsel/carved/carved_pool_backing.h"
#include "morsel/carved/carved_pool_medium.h"
#include "morsel/pool/pool.h"
#include "morsel/registry/pool_addresses.h"
#include "os/file/system_calls.h"

namespace morsel {

/// Whoever may open the file may read and write all of it. The owner and mode that the catalog
/// keeps for each morsel are checked by this library only: they keep honest programs apart, no
/// others.
///
/// One process writes the pool. Any number read it meanwhile, without a lock: each call of theirs
/// looks at a copy of the metadata as they are then.
/// Threads  any.
class CarvedPool : public impl::Pool {
 public:
  /// Makes a pool in a new regular file of size_bytes, rounded up to 2 MiB, and opens it for
  /// writing.
  /// Durability  on return; after a crash before that, there is nothing of that name.
  /// Errors      kExists; kInvalidArgument (too small); kUnsupported (not on persistent memory);
  ///             kNoSpace; kPermission; kIo.
  static Result<std::unique_ptr<impl::Pool>> Create(const std::string& path, uint64_t size_bytes,
                                                    uint32_t mode, os::SystemCalls& calls);

  /// Opens the pool in the file or device at `path`. To write it, it is locked, and what a crash
  /// left is recovered.
  /// Errors  kNotFound; kBusy: the message names the process that writes it; kCorrupt; kVersion;
  ///         kUnsupported; kInvalidArgument: it is an image, or a morsel of a directory pool;
  ///         kPermission; kNoSpace; kNoMemory; kIo.
  static Result<std::unique_ptr<impl::Pool>> Open(const std::string& path, bool read_only,
                                                  os::SystemCalls& calls);

  const PoolSuperblock& superblock() const { return medium_->superblock(); }
  FileIdentity place() const override { return medium_->file().identity(); }
  const pmem::Medium& medium() const override { return medium_->medium(); }
  uint32_t granularity_bytes(Contract) const override { return medium_->granularity_bytes(); }
  Status Supports(Contract contract, bool giant) const override;
  Result<CatalogRecord> Find(const std::string& name) override;
  Result<std::vector<CatalogRecord>> List() override;
  Result<PoolFacts> Facts() override;
  uint64_t DefaultCapacityBytes() override { return addresses_.DefaultCapacityBytes(); }
  Status CheckNotAnothers(const CatalogRecord& record) override {
    return addresses_.CheckNotAnothers(record);
  }
  /// On a medium with units of 1 GiB every morsel becomes giant, whatever was asked for.
  Result<std::unique_ptr<Backing>> Create(const CatalogRecord& asked, const Formatter& format,
                                          const image::Progress& progress) override;
  Result<std::unique_ptr<Backing>> Open(const std::string& name, bool read_only,
                                        const image::Progress& progress) override;
  Status Export(const std::string& name, const os::Directory& to, const std::string& file_name,
                const ExportRequest& options) override;
  /// Loads the image straight into the new morsel's subtrees. They belong to nobody until the
  /// catalog has the morsel.
  Status Import(const std::string& name, const image::ImageFile& image, bool replaces) override;
  Result<std::unique_ptr<MorselBytes>> BytesOf(const std::string& name, bool keep) override;
  Status MakeWhole(const MakingWhole& making) override;
  Status Remove(const std::string& name) override;
  Status Rename(const std::string& name, const std::string& to) override;
  void CloseAfterFork() override { medium_->CloseAfterFork(); }
  Status CheckIsKept() const override;
  Status CheckNotWritten(const std::string& name) override;
  Status Check(const std::function<void(const Finding&)>& report) override;

 private:
  CarvedPool(std::string path, bool read_only, std::unique_ptr<CarvedMedium> medium)
      : impl::Pool(std::move(path), read_only), medium_(std::move(medium)) {}
  static Result<std::unique_ptr<CarvedPool>> Adopt(os::File file, bool read_only);
  CatalogRecord Carved(const CatalogRecord& asked) const;
  Result<std::unique_ptr<CarvedBacking>> OpenOnce(const std::string& name, bool read_only);
  bool IsStillThere(const CarvedBacking& backing);
  Result<std::vector<SubtreeIndex>> Fill(const CatalogRecord& record, const FillMemory& fill,
                                         std::unique_lock<Mutex>& held);
  Status SettleBase(CatalogRecord& record, const MakingWhole& making,
                    std::unique_lock<Mutex>& held);
  Result<std::optional<SlotIndex>> Replaced(const MakingWhole& making);
  /// Enters the addresses of a morsel that is being made into claims_ as long as it lives. Whoever
  /// makes and ends it holds the medium's mutex.
  class Claim {
   public:
    Claim(CarvedPool& pool, const CatalogRecord& record);
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

   private:
    CarvedPool& pool_;
    std::string name_;
  };
  TakenRanges Taken();
  /// Looks for the registry of addresses, for a pool that is open for writing.
  void FindAddresses();
  /// What the registry is told of the pool, while the medium's mutex is held.
  RegisteredPool Registered();
  /// Reserves addresses for a new morsel.
  /// moved_from  as for BasesFor().
  Result<os::AddressRange> TakeRange(const CatalogRecord& record, uint64_t moved_from = 0);
  /// Tells the registry that the pool has the addresses of this morsel.
  void ClaimAddresses(const CatalogRecord& record);
  /// Tells the registry that a morsel is in the catalog.
  void NoteName();
  Status CheckUnclaimed(const CatalogRecord& record) const;
  Status MustBeWritable(const char* tried) const;
  std::string SubjectOf(const std::string& name) const;

  std::shared_ptr<CarvedMedium> medium_;
  /// The addresses of morsels that are being made, guarded by the medium's mutex: they are in no
  /// catalog yet, and the mutex is not held while zeros are written or an image is loaded.
  std::vector<CatalogRecord> claims_;
  PoolAddresses addresses_;
  PoolStamp stamp_;  ///< guarded by the medium's mutex
};

}  // namespace morsel
